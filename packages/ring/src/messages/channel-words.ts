/**
 * The page two ends of a channel share beside their rings: who has opened it, how far it is closed, and why
 * it failed. Each end has one block and writes only its own.
 *
 * | word of a block  | written by   | read by  | rule                                                             |
 * |------------------|--------------|----------|------------------------------------------------------------------|
 * | `STATE` (0)      | the owner    | the peer | moves up only; unopened → open by compareExchange, so that of    |
 * |                  |              |          | two threads that open one end a single one wins                  |
 * | `REASON_BYTES` (1) | the owner  | the peer | stored before `STATE` becomes `failed`; the reader clamps it     |
 * | words 16…31      | both (Doorbell) | the owner | the doorbell that wakes the owner; see doorbell.ts          |
 * | bytes 256…1279   | the owner    | the peer | UTF-8 reason; copied out before it is decoded                    |
 *
 * The peer may scribble on all of it: whatever is read here is a hint that ends this channel at worst.
 */

/** Bytes of the shared page: one block for each side. */
export const CHANNEL_PAGE_BYTES = 4096
const BLOCK_BYTES = 2048
const STATE = 0
const REASON_BYTES = 1
const DOORBELL_BYTE_OFFSET = 64
const REASON_AT = 256
const REASON_MAX_BYTES = 1024

/** Life of one end, as the other end sees it. */
export const EndState = {
  unopened: 0,
  open: 1,
  /** Reads no more; what was sent before still goes out. */
  closing: 2,
  /** Writes no more. */
  closed: 3,
  failed: 4,
} as const
export type EndState = (typeof EndState)[keyof typeof EndState]

/** Which end of a pair: it sends in ring `side` and receives in ring `1 - side`. */
export type ChannelSide = 0 | 1

export class ChannelWords {
  readonly #own: Int32Array
  readonly #peer: Int32Array
  readonly #ownReason: Uint8Array
  readonly #peerReason: Uint8Array

  constructor(buffer: ArrayBufferLike, pageOffset: number, side: ChannelSide) {
    const own = pageOffset + side * BLOCK_BYTES
    const peer = pageOffset + (1 - side) * BLOCK_BYTES
    this.#own = new Int32Array(buffer, own, 2)
    this.#peer = new Int32Array(buffer, peer, 2)
    this.#ownReason = new Uint8Array(buffer, own + REASON_AT, REASON_MAX_BYTES)
    this.#peerReason = new Uint8Array(buffer, peer + REASON_AT, REASON_MAX_BYTES)
  }

  /** Takes this end for this thread; false when somebody has it already. */
  claim(): boolean {
    const found = Atomics.compareExchange(this.#own, STATE, EndState.unopened, EndState.open)
    return found === EndState.unopened
  }

  publish(state: EndState): void {
    Atomics.store(this.#own, STATE, state)
  }

  publishFailure(reason: string): void {
    const bytes = new TextEncoder().encode(reason).subarray(0, REASON_MAX_BYTES)
    this.#ownReason.set(bytes)
    // ORDER: the text and its length come before the state that makes the peer read them.
    Atomics.store(this.#own, REASON_BYTES, bytes.length)
    Atomics.store(this.#own, STATE, EndState.failed)
  }

  /** The peer's state; a value nobody defined reads as `failed`. */
  peerState(): EndState {
    const state = Atomics.load(this.#peer, STATE)
    return state >= EndState.unopened && state <= EndState.failed
      ? (state as EndState)
      : EndState.failed
  }

  peerReason(): string {
    const length = Atomics.load(this.#peer, REASON_BYTES)
    if (length <= 0 || length > REASON_MAX_BYTES) return 'no reason given'
    return new TextDecoder().decode(this.#peerReason.slice(0, length).slice())
  }
}

/** Byte offset in the page of the doorbell that wakes `side`. */
export function doorbellOffset(side: ChannelSide): number {
  return side * BLOCK_BYTES + DOORBELL_BYTE_OFFSET
}
