// HOT
// The sections of the send buffer: free ones, and where each lies in the guest's RAM. A section is the host's from its packet until the
// completion of it.

export class SendSections {
  readonly count: number
  readonly sectionBytes: number
  readonly #gpa: number
  readonly #free: Int32Array<ArrayBuffer>
  readonly #isSent: Uint8Array<ArrayBuffer>
  #freeCount: number

  constructor(gpa: number, count: number, sectionBytes: number) {
    this.count = count
    this.sectionBytes = sectionBytes
    this.#gpa = gpa
    this.#free = Int32Array.from({ length: count }, (_, index) => count - 1 - index)
    this.#isSent = new Uint8Array(count)
    this.#freeCount = count
  }

  get freeCount(): number {
    return this.#freeCount
  }

  /** A free section, or -1; free still, until `sent`. */
  peek(): number {
    return this.#freeCount === 0 ? -1 : this.#free[this.#freeCount - 1]!
  }

  gpaOf(section: number): number {
    return this.#gpa + section * this.sectionBytes
  }

  /** The one that `peek` told is the host's. */
  sent(section: number): void {
    this.#freeCount -= 1
    this.#isSent[section] = 1
  }

  /** The host has done with it. False when it did not have it. */
  done(section: number): boolean {
    if (!(section >= 0 && section < this.count) || this.#isSent[section] === 0) return false
    this.#isSent[section] = 0
    this.#free[this.#freeCount] = section
    this.#freeCount += 1
    return true
  }
}
