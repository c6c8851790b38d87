/**
 * A guest that sends Ethernet frames as fast as another takes them, where they lie in RAM: a window of them is under way, and the other
 * says from time to time how many came, in order. It answers what comes to itself likewise.
 */

import type { FrameQueue, FrameReceiver, Guest, GuestNic } from '@guestyard/child-partition'

/** What a host asks for with `send` and `ping`. */
export interface FramesAsked {
  /** Address of the other guest. */
  readonly to: string
  /** Bytes of a frame, head included. */
  readonly bytes: number
  readonly count: number
  /** Frames under way at most, a multiple of 4: fewer than the other's driver has buffers for. A quarter of them is acknowledged together. */
  readonly window: number
}

/** What `send` found. */
export interface FramesSent {
  readonly elapsedMs: number
  /** Frames that did not come, or not in order. */
  readonly lost: number
}

/** Local experimental type: nobody else speaks it. */
const TYPE = [0x88, 0xb5]
/** Behind the type, the kind, then a word, and how many frames are acknowledged together. */
const KIND_AT = 14
const WORD_AT = 16
const TOGETHER_AT = 20
const SMALLEST_BYTES = 60
const Kind = { DATA: 1, TAKEN: 2, PING: 3, PONG: 4 } as const

export async function main(guest: Guest): Promise<void> {
  const mover = (which: number): Promise<FrameMover> =>
    guest.nics.get(which).then((nic) => new FrameMover(nic))
  const found = mover(0)
  // Guests that have a second adapter can ask themselves. Others wait for it in vain.
  const second = mover(1)
  second.catch(() => undefined)
  guest.expose({
    address: async () => (await found).nic.address,
    secondAddress: async () => (await second).nic.address,
    send: async (data) => (await found).send(data as FramesAsked),
    ping: async (data) => (await found).ping(data as FramesAsked),
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}

class FrameMover implements FrameReceiver {
  readonly nic: GuestNic
  readonly #queue: FrameQueue
  /** First words of a frame by kind: addresses, type, kind. To whoever asked last, or is answered. */
  readonly #heads: Int32Array
  /** The last four bytes of the address of whoever is answered. */
  #peer = 0
  // What comes: the next in order, and how many were not.
  #expected = 0
  #lost = 0
  #answers = false
  #together = 1
  // What goes.
  #bytes = SMALLEST_BYTES
  #count = 0
  #sent = 0
  #taken = 0
  #isPing = false
  #window = 1
  #ended: PromiseWithResolvers<void> | null = null

  constructor(nic: GuestNic) {
    this.nic = nic
    this.#queue = nic.queue
    this.#heads = new Int32Array(4 * (Kind.PONG + 1))
    nic.queue.receive(this)
  }

  async send(asked: FramesAsked): Promise<FramesSent> {
    this.#isPing = false
    const elapsedMs = await this.#run(asked)
    return { elapsedMs, lost: this.#lost }
  }

  /** Milliseconds of so many round trips, one after the other. */
  ping(asked: FramesAsked): Promise<number> {
    this.#isPing = true
    return this.#run(asked)
  }

  frame(gpa: number): void {
    const { bytes, words } = this.#queue
    const word = words[(gpa + WORD_AT) >> 2]!
    switch (bytes[gpa + KIND_AT]!) {
      case Kind.DATA:
        this.#arrived(gpa, word)
        return
      case Kind.PING:
        this.#learn(gpa)
        this.#put(Kind.PONG, word, SMALLEST_BYTES)
        return
      case Kind.TAKEN:
        this.#taken = word & 0x7fff_ffff
        this.#lost += word < 0 ? 1 : 0
        break
      case Kind.PONG:
        this.#taken = word
        break
      default:
        return
    }
    if (this.#taken >= this.#count) this.#ended?.resolve()
    else this.space()
  }

  space(): void {
    while (this.#sent < this.#count && this.#sent - this.#taken < this.#window) {
      const kind = this.#isPing ? Kind.PING : Kind.DATA
      const isLast = this.#sent + 1 === this.#count
      const value = this.#isPing ? this.#sent + 1 : this.#sent | (isLast ? 0x8000_0000 : 0)
      if (!this.#put(kind, value, this.#bytes)) return
      this.#sent += 1
    }
  }

  async #run({ to, bytes, count, window }: FramesAsked): Promise<number> {
    this.#peer = 0
    this.#address(to.split(':').map((digits) => Number.parseInt(digits, 16)))
    this.#ended = Promise.withResolvers()
    this.#bytes = bytes
    this.#count = count
    this.#window = this.#isPing ? 1 : window
    this.#sent = 0
    this.#taken = 0
    this.#lost = 0
    const began = performance.now()
    this.space()
    this.#queue.publish()
    await this.#ended.promise
    return performance.now() - began
  }

  // A sequence begins at 0; the sign says that a frame is its last.
  #arrived(gpa: number, word: number): void {
    const number = word & 0x7fff_ffff
    if (number === 0) {
      this.#learn(gpa)
      this.#expected = 0
      this.#together = Math.max(1, this.#queue.words[(gpa + TOGETHER_AT) >> 2]!)
      this.#answers = false
    }
    if (number !== this.#expected) this.#answers = true
    this.#expected = number + 1
    if (word >= 0 && this.#expected % this.#together !== 0) return
    this.#put(Kind.TAKEN, this.#expected | (this.#answers ? 0x8000_0000 : 0), SMALLEST_BYTES)
    this.#answers = false
  }

  #learn(gpa: number): void {
    const { bytes, words } = this.#queue
    const tail = words[(gpa + 8) >> 2]!
    if (tail === this.#peer) return
    this.#peer = tail
    this.#address([...bytes.subarray(gpa + 6, gpa + 12)])
  }

  #address(to: readonly number[]): void {
    const from = this.nic.address.split(':').map((digits) => Number.parseInt(digits, 16))
    const bytes = new Uint8Array(this.#heads.buffer)
    for (let kind = 1; kind <= Kind.PONG; kind += 1) {
      bytes.set([...to, ...from, ...TYPE, kind, 0], kind * 16)
    }
  }

  #put(kind: number, word: number, lengthBytes: number): boolean {
    const gpa = this.#queue.place()
    if (gpa < 0) return false
    const { words } = this.#queue
    const at = gpa >> 2
    const head = kind * 4
    words[at] = this.#heads[head]!
    words[at + 1] = this.#heads[head + 1]!
    words[at + 2] = this.#heads[head + 2]!
    words[at + 3] = this.#heads[head + 3]!
    words[at + 4] = word
    words[at + 5] = this.#window >> 2
    return this.#queue.submit(lengthBytes)
  }
}
