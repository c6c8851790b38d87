/** Holds virtual time back to the pace of real time. Where it is behind, it stays so: nothing is caught up. */
export class Pace {
  static readonly PERIOD_NS = 5e6
  /** The real ones: by the time they are called, the globals are virtual. */
  readonly #realNowMs: () => number = performance.now.bind(performance)
  readonly #setTimeout: typeof setTimeout = setTimeout
  readonly #clearTimeout: typeof clearTimeout = clearTimeout
  /** Real time at which virtual time was 0. */
  #originMs: number | null = null
  #hurry: () => void = () => {}

  /** When to go on from this virtual time; null: now. */
  restAt(virtualMs: number): Promise<void> | null {
    const originMs = this.#realNowMs() - virtualMs
    const aheadMs = (this.#originMs ?? originMs) - originMs
    if (aheadMs < 1) {
      this.#originMs = originMs
      return null
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.#setTimeout(resolve, aheadMs)
    this.#hurry = () => {
      this.#clearTimeout(timer)
      resolve()
    }
    return promise
  }

  /** Something has come that is not to wait. */
  hurry(): void {
    this.#hurry()
  }
}
