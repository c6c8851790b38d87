// The two rings of an open channel as the guest that owns the pages can reach them: every word, whoever it belongs to.

import { PAGE_SIZE, RING_WORD_IN, RING_WORD_OUT } from '@guestyard/hvdef'
import type { GuestMemory } from '@guestyard/guestmem'

export const CONTROL_WORDS: number = PAGE_SIZE / 4

/** One ring: its control page, then its data pages, wherever they are in RAM. */
export class RingWords {
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  readonly #pfns: readonly number[]
  /** Bytes of the data area. */
  readonly dataBytes: number

  constructor(memory: Pick<GuestMemory, 'i32' | 'u8'>, pfns: readonly number[]) {
    this.#words = memory.i32
    this.#bytes = memory.u8
    this.#pfns = pfns
    this.dataBytes = (pfns.length - 1) * PAGE_SIZE
  }

  /** A word of the control page, 0 to CONTROL_WORDS - 1. */
  control(word: number): number {
    return Atomics.load(this.#words, this.#pfns[0]! * CONTROL_WORDS + word)
  }

  setControl(word: number, value: number): void {
    Atomics.store(this.#words, this.#pfns[0]! * CONTROL_WORDS + word, value | 0)
  }

  /** A byte of the control page, 0 to 4095. */
  setControlByte(at: number, value: number): void {
    this.#bytes[this.#pfns[0]! * PAGE_SIZE + at] = value
  }

  /** A word of the data area at a byte offset, a multiple of 4; offsets past the end wrap. */
  data(at: number): number {
    return this.#words[this.#wordOf(at)]!
  }

  setData(at: number, value: number): void {
    this.#words[this.#wordOf(at)] = value | 0
  }

  setDataByte(at: number, value: number): void {
    const within = at % this.dataBytes
    const page = this.#pfns[1 + Math.floor(within / PAGE_SIZE)]!
    this.#bytes[page * PAGE_SIZE + (within % PAGE_SIZE)] = value
  }

  /** Where the receiver reads next and where the sender writes next, as the pages say; any number may stand there. */
  get readAt(): number {
    return ((this.control(RING_WORD_OUT) >>> 0) % this.dataBytes) & ~7
  }

  get writeAt(): number {
    return ((this.control(RING_WORD_IN) >>> 0) % this.dataBytes) & ~7
  }

  #wordOf(at: number): number {
    const within = at % this.dataBytes
    const page = this.#pfns[1 + Math.floor(within / PAGE_SIZE)]!
    return page * CONTROL_WORDS + ((within % PAGE_SIZE) >> 2)
  }
}

export interface ChannelRings {
  /** Guest to host. */
  readonly up: RingWords
  /** Host to guest. */
  readonly down: RingWords
  /** A number that changes when a byte of either ring does. */
  digest(): number
}

/** `pfns`: pages of both rings, as in their GPADL; `sendBytes`: data bytes of the guest-to-host ring. */
export function ringsOf(
  memory: Pick<GuestMemory, 'i32' | 'u8'>,
  pfns: readonly number[],
  sendBytes: number,
): ChannelRings {
  const upPages = 1 + sendBytes / PAGE_SIZE
  return {
    up: new RingWords(memory, pfns.slice(0, upPages)),
    down: new RingWords(memory, pfns.slice(upPages)),
    digest() {
      let digest = 0
      for (const pfn of pfns) {
        const end = (pfn + 1) * CONTROL_WORDS
        for (let at = pfn * CONTROL_WORDS; at < end; at += 1) {
          digest = (Math.imul(digest, 31) + memory.i32[at]!) | 0
        }
      }
      return digest
    },
  }
}

/** Values at which index arithmetic goes wrong, for a ring of `dataBytes`. */
export function boundaryValues(dataBytes: number): readonly number[] {
  return [
    0,
    1,
    7,
    8,
    16,
    dataBytes - 8,
    dataBytes - 4,
    dataBytes,
    dataBytes + 8,
    0x7fff_fff8,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff8,
    0xffff_ffff,
  ]
}
