// A wire for tests: two ends and a clock that is cranked by hand. Frames are late, lost, doubled and out of order as a seed decides.

import type { Link } from './ip/link.ts'

export interface WireOptions {
  readonly mtu?: number
  /** Milliseconds that a frame takes. */
  readonly delayMs?: number
  /** Of a thousand frames, how many are lost, come twice, and come up to five delays late. */
  readonly lost?: number
  readonly doubled?: number
  readonly late?: number
  /** Frames on their way at most in each direction; more find no room. */
  readonly room?: number
  /** Of whoever loses and delays: the same seed, the same fate. */
  readonly seed?: number
}

interface Flying {
  readonly frame: Uint8Array
  readonly atMs: number
  readonly order: number
}

/** One end of the wire. `onFrame` gets what arrives. */
export class WireEnd implements Link {
  readonly address: Uint8Array
  readonly mtu: number
  onFrame: ((frame: Uint8Array) => void) | null = null
  readonly #send: (frame: Uint8Array) => boolean

  constructor(last: number, mtu: number, send: (frame: Uint8Array) => boolean) {
    this.address = Uint8Array.of(2, 0, 0, 0, 0, last)
    this.mtu = mtu
    this.#send = send
  }

  transmit(frame: Uint8Array, bytes: number): boolean {
    return this.#send(frame.slice(0, bytes))
  }
}

export class TestWire {
  readonly ends: readonly [WireEnd, WireEnd]
  nowMs = 0
  /** Every frame that either end sent, lost ones too, if somebody asked for it. */
  onSent: ((frame: Uint8Array, from: 0 | 1) => void) | null = null
  readonly #options: Required<WireOptions>
  readonly #flying: [Flying[], Flying[]] = [[], []]
  readonly #random: () => number
  #order = 0

  constructor(options: WireOptions = {}) {
    const chances = { lost: 0, doubled: 0, late: 0 }
    this.#options = { mtu: 1500, delayMs: 1, room: 1000, seed: 1, ...chances, ...options }
    this.#random = randomOf(this.#options.seed)
    const { mtu } = this.#options
    this.ends = [
      new WireEnd(1, mtu, (frame) => this.#send(0, frame)),
      new WireEnd(2, mtu, (frame) => this.#send(1, frame)),
    ]
  }

  /** When the next frame arrives; Infinity: none is on its way. */
  nextDeadlineMs(): number {
    return Math.min(...this.#flying.flat().map(({ atMs }) => atMs))
  }

  /** Delivers what has arrived by now, in the order of its arrival. */
  deliver(): void {
    for (const to of [0, 1] as const) {
      const flying = this.#flying[to]
      const arrived = flying.filter(({ atMs }) => atMs <= this.nowMs)
      this.#flying[to] = flying.filter(({ atMs }) => atMs > this.nowMs)
      arrived.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
      for (const { frame } of arrived) this.ends[to].onFrame?.(frame)
    }
  }

  #send(from: 0 | 1, frame: Uint8Array): boolean {
    const to = from === 0 ? 1 : 0
    const { room, lost, doubled, late, delayMs } = this.#options
    if (this.#flying[to].length >= room) return false
    this.onSent?.(frame, from)
    if (this.#happens(lost)) return true
    for (let copies = this.#happens(doubled) ? 2 : 1; copies > 0; copies -= 1) {
      const delays = this.#happens(late) ? 1 + (this.#random() % 500) / 100 : 1
      const atMs = this.nowMs + delayMs * delays
      this.#flying[to].push({ frame: frame.slice(), atMs, order: this.#order++ })
    }
    return true
  }

  #happens(ofThousand: number): boolean {
    return ofThousand > 0 && this.#random() % 1000 < ofThousand
  }
}

/** 32 bits at a time from a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return (bits ^ (bits >>> 14)) >>> 0
  }
}
