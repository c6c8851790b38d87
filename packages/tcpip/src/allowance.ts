// So many in a second and no more: for answers that a flood would otherwise turn into another.

const SECOND_MS = 1_000

export class Allowance {
  readonly #perSecond: number
  #taken = 0
  #sinceMs = -Infinity

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** One more? */
  take(nowMs: number): boolean {
    if (nowMs - this.#sinceMs >= SECOND_MS) {
      this.#sinceMs = nowMs
      this.#taken = 0
    }
    if (this.#taken >= this.#perSecond) return false
    this.#taken += 1
    return true
  }
}
