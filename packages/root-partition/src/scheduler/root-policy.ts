import type { SchedulerPolicy } from './policy.ts'
import type { ScheduledVp } from './scheduled-vp.ts'

/**
 * The root scheduler: the host schedules VPs as threads, so a VP is dispatched at once and for good, and the processor
 * it is placed on is only where its counters go. Weights, caps and reserves do not apply (as in Hyper-V).
 */
export class RootPolicy implements SchedulerPolicy {
  readonly name = 'root'
  readonly schedules = false
  readonly hasWaiting = false
  readonly #vpsOn: number[]

  /** `logicalProcessors`: 1 or more. */
  constructor(logicalProcessors: number) {
    this.#vpsOn = Array.from({ length: logicalProcessors }, () => 0)
  }

  admits(): boolean {
    return true
  }

  sharesChanged(): void {}

  /** The logical processor with the fewest VPs, the lowest number among equals. */
  placeAtOnce(_vp: ScheduledVp): number {
    let best = 0
    for (let lp = 1; lp < this.#vpsOn.length; lp += 1) {
      if (this.#vpsOn[lp]! < this.#vpsOn[best]!) best = lp
    }
    this.#vpsOn[best]! += 1
    return best
  }

  leftAtOnce(_vp: ScheduledVp, lp: number): void {
    this.#vpsOn[lp]! -= 1
  }

  enter(): void {}
  release(): void {}
  gaveUp(): void {}
  leave(): void {}
  drop(): void {}
  putBack(): void {}
  charge(): void {}

  pick(): null {
    return null
  }

  sliceEnd(): number {
    return Number.POSITIVE_INFINITY
  }

  mustLeave(): boolean {
    return false
  }

  makeRoom(): void {}

  newPeriod(): void {}
}
