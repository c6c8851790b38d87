import type { SchedulableVp, SchedulerPolicy } from './policy.ts'

/**
 * The root scheduler: the host schedules VPs as threads, so a ready VP is dispatched at once and the processor
 * it is placed on is only where its counters go. Weights and caps do not apply (as in Hyper-V).
 */
export class RootPolicy implements SchedulerPolicy {
  readonly name = 'root'
  readonly #vpsOn: number[]

  /** `logicalProcessors`: 1 or more. */
  constructor(logicalProcessors: number) {
    this.#vpsOn = Array.from({ length: logicalProcessors }, () => 0)
  }

  /** The logical processor with the fewest VPs, the lowest number among equals. */
  place(_vp: SchedulableVp): number {
    let best = 0
    for (let lp = 1; lp < this.#vpsOn.length; lp += 1) {
      if (this.#vpsOn[lp]! < this.#vpsOn[best]!) best = lp
    }
    this.#vpsOn[best]! += 1
    return best
  }

  remove(_vp: SchedulableVp, lp: number): void {
    this.#vpsOn[lp]! -= 1
  }
}
