// How many VMs boot at a time. A boot is almost all processor time; many at once only take each other's caches and memory, and all of
// them are late. In turns the first are up at once and the last no later.

type Leave = () => void

interface Waiter {
  readonly admitted: PromiseWithResolvers<Leave>
  readonly signal: AbortSignal
}

/** Main thread only. */
export class BootGate {
  readonly #waiting: Waiter[] = []
  #free: number

  /** `slots`: boots at a time, 1 or more. */
  constructor(slots: number) {
    this.#free = slots
  }

  /**
   * Resolves when it is this boot's turn, in the order of the calls, with what ends it; ending it twice changes nothing. Rejects with the
   * signal's reason when that comes first.
   */
  enter(signal: AbortSignal): Promise<Leave> {
    if (signal.aborted) return Promise.reject(signal.reason as Error)
    if (this.#free > 0) {
      this.#free -= 1
      return Promise.resolve(this.#place())
    }
    const waiter: Waiter = { admitted: Promise.withResolvers(), signal }
    this.#waiting.push(waiter)
    signal.addEventListener('abort', () => this.#giveUp(waiter), { once: true })
    return waiter.admitted.promise
  }

  #place(): Leave {
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      const next = this.#waiting.shift()
      if (next === undefined) this.#free += 1
      else next.admitted.resolve(this.#place())
    }
  }

  #giveUp(waiter: Waiter): void {
    const at = this.#waiting.indexOf(waiter)
    if (at < 0) return
    this.#waiting.splice(at, 1)
    waiter.admitted.reject(waiter.signal.reason)
  }
}
