// What a console said: kept for whoever reads it, up to a bound, and its last lines for whoever asks how a machine ended.

/** Kept when nobody reads: what is older goes. */
const BYTES_MAX = 256 * 1024
/** For `lastWords`: a kernel's last message comes before its registers and its stack. */
const TAIL_BYTES = 16_384
/** Linux, of whatever made it give up. */
const PANIC = /Kernel panic.*/

type Reader = (bytes: Uint8Array | null) => void

export class ConsoleBuffer {
  readonly #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(BYTES_MAX)
  /** Bytes ever put, and ever read or given up. */
  #put = 0
  #taken = 0
  #reader: Reader | null = null
  #isClosed = false
  #isScheduled = false

  put(byte: number): void {
    this.#bytes[this.#put % BYTES_MAX] = byte
    this.#put += 1
    if (this.#put - this.#taken > BYTES_MAX) this.#taken = this.#put - BYTES_MAX
    if (this.#reader === null || this.#isScheduled) return
    // Bytes come one by one: all of this turn go together.
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.#deliver()
    })
  }

  /** No more bytes will come. */
  close(): void {
    this.#isClosed = true
    this.#deliver()
  }

  /** Resolves with bytes as soon as there are any; null: there will be none. One reader at a time: an earlier one gets no bytes. */
  read(): Promise<Uint8Array | null> {
    this.#reader?.(new Uint8Array(0))
    return new Promise((resolve) => {
      this.#reader = resolve
      this.#deliver()
    })
  }

  /**
   * What a machine said last, whether it was read or not: the reason of a panic, or `count` lines with something in them. Control
   * characters are left out.
   */
  lastWords(count: number): string[] {
    const length = Math.min(this.#put, TAIL_BYTES)
    const text = new TextDecoder().decode(this.#copy(this.#put - length, this.#put))
    const lines = text.split(/[\r\n]+/).map((line) => line.replaceAll(/[^\x20-\x7e]/g, '').trim())
    const panics = lines.flatMap((line) => PANIC.exec(line)?.[0] ?? [])
    return panics.length > 0
      ? panics.slice(0, 1)
      : lines.filter((line) => line !== '').slice(-count)
  }

  #deliver(): void {
    const reader = this.#reader
    if (reader === null || (this.#put === this.#taken && !this.#isClosed)) return
    this.#reader = null
    const bytes = this.#put === this.#taken ? null : this.#copy(this.#taken, this.#put)
    this.#taken = this.#put
    reader(bytes)
  }

  #copy(from: number, end: number): Uint8Array {
    const bytes = new Uint8Array(end - from)
    for (let at = from; at < end; at += 1) bytes[at - from] = this.#bytes[at % BYTES_MAX]!
    return bytes
  }
}
