// The guest that receives a relay stream: numbered packets in, bytes out, in order. What its owner does not read
// stays in the ring, and holds up the sender in the other guest.
//
//   1. SETUP names the stream.                     3. `read` copies bytes out; 0: nothing now.
//   2. Bytes came: `onReadable`.                   4. All are read and the stream has ended: `onDone`.

import type { Channel } from '@guestyard/vmbus'
import { PacketChecker } from '../checker.ts'
import { maxPayloadBytes } from '../max-payload.ts'
import {
  LOAD_KIND_END_OF_STREAM,
  LOAD_KIND_STATISTICS,
  LoadEndOfStream,
  LoadHeader,
  LoadMode,
  LoadStatistics,
} from '../protocol.ts'
import { LoadEnd } from './load-end.ts'
import { setup } from './requests.ts'

export type RelayReceiverOutcome =
  | {
      readonly ok: true
      readonly packets: number
      /** Bytes of the stream, headers left out. */
      readonly bytes: number
      /** Packets found out of sequence here; 0 unless memory was damaged. */
      readonly sequenceErrors: number
    }
  | { readonly ok: false; readonly reason: string }

export interface RelayReceiverOptions {
  /** A safe integer of at least 0 that the sender names too. */
  readonly streamId: number
  /** `read` has bytes again, after it answered 0 or before the first. */
  onReadable(): void
  /** Called once; when it is `ok`, after the last byte was read. */
  onDone(outcome: RelayReceiverOutcome): void
}

const HEADER_BYTES = LoadHeader.size
const UNUSED_SHIFT = 16
const NO_BYTES = new Uint8Array(0)
/** Packets that one look into the ring handles at most. */
const REFILL_PACKETS = 256

export class RelayReceiver extends LoadEnd {
  readonly #options: RelayReceiverOptions
  readonly #checker: PacketChecker
  /** The beginning of the staging area, as long as the piece that was copied last. */
  #piece: Uint8Array = NO_BYTES
  #bytes = 0
  // Packets #unread up to #checked of the batch have not been read; #offset bytes of the first one have.
  #unread = 0
  #checked = 0
  #offset = 0
  /** The owner waits for `onReadable`. */
  #isWanted = true
  #isEnded = false

  constructor(channel: Channel, options: RelayReceiverOptions) {
    super(channel)
    const payloadBytes = maxPayloadBytes(channel.incoming, channel.outgoing)
    const { streamId } = options
    this.#options = options
    this.#checker = new PacketChecker(channel.incoming, payloadBytes, false)
    this.requests.owe(setup({ mode: LoadMode.RELAY_RECEIVER, payloadBytes, batch: 1, streamId }))
    this.payNow()
  }

  /**
   * Copies up to `length` bytes of the stream to `target` from `at` on: whole packets, or a part of one where a whole one
   * does not fit. Returns how many; 0 when none are there now: `onReadable` follows, or `onDone`. Any task of the guest's
   * thread may call it.
   */
  read(target: Uint8Array, at: number, length: number): number {
    let copied = 0
    while (copied < length) {
      if (this.#unread === this.#checked && !this.#refill()) break
      const left = this.#leftOfPacket()
      if (copied > 0 && left > length - copied) break
      copied += this.#copyPiece(target, at + copied, length - copied, left)
    }
    this.#isWanted = copied === 0
    if (this.life !== 'over') this.publish(true)
    this.tell()
    return copied
  }

  protected get holdsPackets(): boolean {
    return this.#unread < this.#checked
  }

  protected onAccepted(): void {
    // The stream begins when the sender does.
  }

  protected onData(first: number, end: number): number {
    // Packets already checked wait for `read`, which moves `next`.
    if (this.#unread === this.#checked) {
      this.#unread = first
      this.#checked = this.#checker.check(first, end)
    }
    return first
  }

  protected onControl(kind: number, view: DataView, at: number, length: number): boolean {
    if (kind === LOAD_KIND_END_OF_STREAM && length >= LoadEndOfStream.size && !this.#isEnded) {
      const { sequence, packets } = LoadEndOfStream.decode(view, at)
      this.#checker.checkEnd(sequence, Number(packets))
      this.#isEnded = true
      return true
    }
    if (kind !== LOAD_KIND_STATISTICS || !this.#isEnded) return false
    if (length < LoadStatistics.size) return false
    const { packets, errors } = this.#checker
    const bytes = this.#bytes
    this.finish(() => this.#options.onDone({ ok: true, packets, bytes, sequenceErrors: errors }))
    return true
  }

  protected send(): number {
    if (!this.#isWanted || !this.holdsPackets) return 0
    this.#isWanted = false
    this.#options.onReadable()
    return 1
  }

  protected armSend(): boolean {
    return false
  }

  protected tellFailed(reason: string): void {
    this.#options.onDone({ ok: false, reason })
  }

  /** Takes the next packets out of the ring. False when there are none to read. */
  #refill(): boolean {
    if (this.isOver()) return false
    this.receive(REFILL_PACKETS)
    if (this.holdsPackets || this.isOver()) return this.holdsPackets
    // The engine sleeps and left the ring masked, since there was something to read: ask for a signal here.
    if (!this.isAsleep) return false
    this.publish(false)
    if (this.isOver() || !this.incoming.unmask()) return false
    this.receive(REFILL_PACKETS)
    return this.holdsPackets
  }

  /** Bytes of the next packet's data that have not been read. */
  #leftOfPacket(): number {
    const { incoming } = this
    const index = this.#unread
    const unused = incoming.arenaWords[(incoming.payloadAt(index) >> 2) + 1]! >>> UNUSED_SHIFT
    return incoming.payloadLength(index) - unused - HEADER_BYTES - this.#offset
  }

  #copyPiece(target: Uint8Array, at: number, most: number, left: number): number {
    const piece = left < most ? left : most
    const from = this.incoming.payloadAt(this.#unread) + HEADER_BYTES + this.#offset
    if (piece > 0) this.#copy(from, piece, target, at)
    this.#offset += piece
    this.#bytes += piece
    if (piece === left) {
      this.#offset = 0
      this.#unread += 1
      this.next = this.#unread
    }
    return piece
  }

  /** From the arena by way of the staging area: a piece there has the same view as the one before, so that none is made. */
  #copy(from: number, length: number, target: Uint8Array, at: number): void {
    const { outgoing } = this
    if (this.#piece.length !== length) this.#piece = outgoing.staging.subarray(0, length)
    outgoing.stageReceived(0, this.incoming, from, length)
    target.set(this.#piece, at)
  }
}
