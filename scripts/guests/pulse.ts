/** Does a little now and then, and says how long each time took: a guest that waits for requests. */

import type { Guest } from '@guestyard/child-partition'

export interface PulseRequest {
  readonly rounds: number
  /** Milliseconds of rest between rounds. */
  readonly restMs: number
  /** What one round computes. */
  readonly microseconds: number
}

export interface PulseResult {
  /** From the moment a round was due to its end, milliseconds, in order. */
  readonly latenciesMs: readonly number[]
  readonly elapsedMs: number
}

export async function main(guest: Guest): Promise<void> {
  guest.expose({ pulse: (request) => pulse(guest, request as PulseRequest) })
  if (guest.signal.aborted) return
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function pulse(guest: Guest, request: PulseRequest): Promise<PulseResult> {
  const latenciesMs: number[] = []
  const startedMs = performance.now()
  for (let round = 0; round < request.rounds; round += 1) {
    const dueMs = performance.now() + request.restMs
    await new Promise((resolve) => setTimeout(resolve, request.restMs))
    await guest.compute(request.microseconds)
    latenciesMs.push(performance.now() - dueMs)
  }
  return { latenciesMs, elapsedMs: performance.now() - startedMs }
}
