// The guest that sends a relay stream: bytes in, numbered packets out, in order, as fast as the receiver reads.
//
//   1. SETUP names the stream.                     4. A full ring takes nothing: `write` answers 0,
//   2. Accepted: `onWritable`.                        `onWritable` follows when there is room.
//   3. `write` cuts bytes into packets.            5. `end`; STATISTICS come back: `onDone`.

import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { RingStatus, packetBytes } from '@guestyard/ring'
import type { Channel } from '@guestyard/vmbus'
import { maxPayloadBytes } from '../max-payload.ts'
import {
  LOAD_KIND_DATA,
  LOAD_KIND_STATISTICS,
  LOAD_PAYLOAD_MIN_BYTES,
  LoadHeader,
  LoadMode,
  LoadStatistics,
} from '../protocol.ts'
import { ChunkViews } from './chunk-views.ts'
import { LoadEnd } from './load-end.ts'
import { endOfStream, setup } from './requests.ts'

export type RelaySenderOutcome =
  | {
      readonly ok: true
      readonly packets: number
      /** Bytes of the stream, headers left out. */
      readonly bytes: number
      /** Packets that the root found out of sequence; 0 unless memory was damaged. */
      readonly sequenceErrors: number
    }
  | { readonly ok: false; readonly reason: string }

export interface RelaySenderOptions {
  /** A safe integer of at least 0 that the receiver names too. */
  readonly streamId: number
  /** Bytes of a packet at most, header included. Default 16384, or what fits the ring. */
  readonly payloadBytes?: number
  /** `write` takes bytes again: after the SETUP was accepted, and whenever it had answered less than was given. */
  onWritable(): void
  /** Called once. */
  onDone(outcome: RelaySenderOutcome): void
}

const HEADER_BYTES = LoadHeader.size
const DEFAULT_PAYLOAD_BYTES = 16384
const UNUSED_SHIFT = 16

export class RelaySender extends LoadEnd {
  readonly #options: RelaySenderOptions
  readonly #payloadBytes: number
  readonly #views: ChunkViews
  #packets = 0
  #bytes = 0
  #isEnded = false
  /** A `write` was answered with less than was given. */
  #isWanted = false

  constructor(channel: Channel, options: RelaySenderOptions) {
    super(channel)
    const most = maxPayloadBytes(channel.incoming, channel.outgoing)
    const wanted = options.payloadBytes ?? DEFAULT_PAYLOAD_BYTES
    this.#options = options
    this.#payloadBytes = Math.max(LOAD_PAYLOAD_MIN_BYTES, Math.min(wanted, most))
    this.#views = new ChunkViews(this.#payloadBytes - HEADER_BYTES)
    const { streamId } = options
    const payloadBytes = this.#payloadBytes
    this.requests.owe(setup({ mode: LoadMode.RELAY_SENDER, payloadBytes, batch: 1, streamId }))
    this.payNow()
  }

  /**
   * Sends up to `length` bytes of `bytes` from `at` on. Returns how many were taken: less than given when the ring
   * is full or the stream is not set up yet; `onWritable` then follows. 0 after `end` or a failure. Any task of
   * the guest's thread may call it. Bytes that lie in the same buffer as those of the call before leave no garbage.
   */
  write(bytes: Uint8Array, at: number, length: number): number {
    if (this.isOver() || this.#isEnded) return 0
    let taken = 0
    if (this.life === 'active' && !this.requests.owes) {
      taken = this.#writePackets(bytes, at, length)
      // The engine sleeps already: the ring has to be asked for a signal here, and looked at again.
      while (taken < length && this.isAsleep && this.#askForRoom()) {
        taken += this.#writePackets(bytes, at + taken, length - taken)
      }
    }
    this.#isWanted = taken < length
    this.publish(false)
    this.tell()
    return taken
  }

  /** The stream is complete. `onDone` follows when the root has passed everything on. */
  end(): void {
    if (this.isOver() || this.#isEnded) return
    this.#isEnded = true
    this.#views.clear()
    if (this.life !== 'active') return
    this.#oweEnd()
  }

  protected get holdsPackets(): boolean {
    return false
  }

  protected onAccepted(): void {
    if (this.#isEnded) this.#oweEnd()
    else this.#wake()
  }

  protected onData(first: number): number {
    return first
  }

  protected onControl(kind: number, view: DataView, at: number, length: number): boolean {
    if (kind !== LOAD_KIND_STATISTICS || !this.#isEnded) return false
    if (length < LoadStatistics.size) return false
    const sequenceErrors = Number(LoadStatistics.decode(view, at).sequenceErrors)
    const packets = this.#packets
    const bytes = this.#bytes
    this.finish(() => this.#options.onDone({ ok: true, packets, bytes, sequenceErrors }))
    return true
  }

  protected send(): number {
    if (this.life !== 'active' || !this.#isWanted) return 0
    if (this.outgoing.writableBytes() < packetBytes(this.#payloadBytes)) return 0
    this.#wake()
    return 1
  }

  protected armSend(): boolean {
    return this.life === 'active' && this.#isWanted && this.#askForRoom()
  }

  protected tellFailed(reason: string): void {
    this.#options.onDone({ ok: false, reason })
  }

  #oweEnd(): void {
    this.requests.owe(endOfStream(this.#packets))
    this.payNow()
    this.tell()
  }

  /** True when a whole packet fits now; else the host was asked for a signal. */
  #askForRoom(): boolean {
    return this.outgoing.setPendingSendSize(packetBytes(this.#payloadBytes))
  }

  /** Writes whole packets while there is room; returns the bytes they took. */
  #writePackets(bytes: Uint8Array, at: number, length: number): number {
    const most = this.#payloadBytes - HEADER_BYTES
    let taken = 0
    while (taken < length) {
      const piece = Math.min(length - taken, most)
      if (!this.#writePacket(bytes, at + taken, piece)) break
      taken += piece
    }
    return taken
  }

  #wake(): void {
    this.#isWanted = false
    this.#options.onWritable()
  }

  #writePacket(bytes: Uint8Array, at: number, length: number): boolean {
    const { staging, stagingWords } = this.outgoing
    const payload = HEADER_BYTES + length
    const unused = -payload & 7
    if (this.outgoing.writableBytes() < packetBytes(payload)) return false
    stagingWords[0] = this.#packets % 0x1_0000_0000
    stagingWords[1] = LOAD_KIND_DATA | (unused << UNUSED_SHIFT)
    staging.set(this.#views.of(bytes, at, length), HEADER_BYTES)
    const status = this.outgoing.write(0, payload, PACKET_TYPE_DATA_INBAND, 0, 0, 0)
    if (status !== RingStatus.OK) return false
    this.#packets += 1
    this.#bytes += length
    return true
  }
}
