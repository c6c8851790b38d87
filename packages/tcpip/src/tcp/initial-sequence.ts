// Where a connection's numbers begin (RFC 6528): a clock, so that a new one is ahead of an old one of the same ports, plus a secret function of
// the addresses, so that nobody elsewhere can tell one connection's numbers from another's. HalfSipHash-2-4 is that function.

const ROUNDS = 2
const FINAL_ROUNDS = 4
/** The clock of the RFC ticks every 4 µs. */
const TICKS_PER_MS = 250

export class InitialSequence {
  readonly #key0: number
  readonly #key1: number
  #v0 = 0
  #v1 = 0
  #v2 = 0
  #v3 = 0

  /** 8 secret bytes or more. Throws a RangeError for fewer. */
  constructor(secret: Uint8Array) {
    if (secret.length < 8) throw new RangeError('a secret of 8 bytes or more, please')
    const view = new DataView(secret.buffer, secret.byteOffset)
    this.#key0 = view.getInt32(0, true)
    this.#key1 = view.getInt32(4, true)
  }

  next(
    local: number,
    localPort: number,
    remote: number,
    remotePort: number,
    nowMs: number,
  ): number {
    this.#v0 = this.#key0
    this.#v1 = this.#key1
    this.#v2 = 0x6c79_6765 ^ this.#key0
    this.#v3 = 0x7465_6462 ^ this.#key1
    this.#absorb(local)
    this.#absorb(remote)
    this.#absorb((localPort << 16) | remotePort)
    // The last word carries the length of all of them.
    this.#absorb(12 << 24)
    this.#v2 ^= 0xff
    for (let round = 0; round < FINAL_ROUNDS; round += 1) this.#round()
    return (Math.floor(nowMs * TICKS_PER_MS) + ((this.#v1 ^ this.#v3) >>> 0)) >>> 0
  }

  #absorb(word: number): void {
    this.#v3 ^= word
    for (let round = 0; round < ROUNDS; round += 1) this.#round()
    this.#v0 ^= word
  }

  #round(): void {
    this.#v0 = (this.#v0 + this.#v1) | 0
    this.#v1 = rotate(this.#v1, 5) ^ this.#v0
    this.#v0 = rotate(this.#v0, 16)
    this.#v2 = (this.#v2 + this.#v3) | 0
    this.#v3 = rotate(this.#v3, 8) ^ this.#v2
    this.#v0 = (this.#v0 + this.#v3) | 0
    this.#v3 = rotate(this.#v3, 7) ^ this.#v0
    this.#v2 = (this.#v2 + this.#v1) | 0
    this.#v1 = rotate(this.#v1, 13) ^ this.#v2
    this.#v2 = rotate(this.#v2, 16)
  }
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}
