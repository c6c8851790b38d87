// HOT
// The sending half of a load: DATA packets of one size, numbered, written as many at a time as there is room
// for. Of each packet only the header is written anew: what a payload holds besides is whatever the private area
// holds. Short packets have slots in the staging area, and the kernel puts them together; long ones are composed where
// they are copied from, since copying them together would cost as much as sending them.

import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { packetBytes } from '@guestyard/ring'
import type { OutgoingRing } from '@guestyard/ring'
import { LOAD_KIND_DATA } from './protocol.ts'

const UNUSED_SHIFT = 16
/** Packets that one call into the ring writes. */
const SLOTS_MAX = 256
/** Payloads from this size on are composed in the batch area. */
const APPEND_MIN_BYTES = 512
/** Payload bytes of one batch: a receiver that keeps up would else let a batch of large packets go on for long. */
const BATCH_BYTES_MAX = 256 * 1024

export class PacketProducer {
  /** DATA packets written. */
  packets: number
  /** Bytes one packet takes in the ring. */
  readonly ringBytes: number
  readonly #outgoing: OutgoingRing
  readonly #payloadBytes: number
  readonly #strideBytes: number
  /** Packets for which there is room in the area that they are composed in. */
  readonly #slots: number
  readonly #appends: boolean
  readonly #kind: number
  /** Sequence number of the next packet, as a signed word. */
  #next: number

  /** `payloadBytes` must fit the staging area and the ring; the caller has checked that. */
  constructor(outgoing: OutgoingRing, payloadBytes: number) {
    this.packets = 0
    this.ringBytes = packetBytes(payloadBytes)
    this.#outgoing = outgoing
    this.#payloadBytes = payloadBytes
    this.#strideBytes = (payloadBytes + 7) & ~7
    const inBatch = Math.floor(outgoing.batch.length / this.ringBytes)
    this.#appends = payloadBytes >= APPEND_MIN_BYTES && inBatch > 1
    const inStaging = Math.floor(outgoing.staging.length / this.#strideBytes)
    this.#slots = Math.min(SLOTS_MAX, this.#appends ? inBatch : inStaging)
    this.#kind = LOAD_KIND_DATA | ((-payloadBytes & 7) << UNUSED_SHIFT)
    this.#next = 0
  }

  /** Packets to publish at once when `batch` are asked for: no fewer than 1, no more than 256 KiB of them. */
  batchOf(batch: number): number {
    const most = Math.max(1, Math.floor(BATCH_BYTES_MAX / this.#payloadBytes))
    return batch < most ? batch : most
  }

  /**
   * Room to ask for before going to sleep on a full ring, in bytes: a batch of `batch`, but no more than a
   * quarter of the ring. Waking for one packet's room would cost a signal a packet.
   */
  wakeBytes(batch: number): number {
    const quarter = (this.#outgoing.sizeBytes >> 2) & ~7
    const wanted = Math.min(batch * this.ringBytes, quarter)
    return wanted < this.ringBytes ? this.ringBytes : wanted
  }

  /**
   * Writes up to `count` packets, without publishing them. Returns how many; fewer means that the ring is full
   * (or dead: its `fault` tells).
   */
  write(count: number): number {
    let written = 0
    while (written < count) {
      const left = count - written
      const slots = left < this.#slots ? left : this.#slots
      const done = this.#appends ? this.#writeAppended(slots) : this.#writeStaged(slots)
      this.#next = (this.#next + done) | 0
      written += done
      if (done < slots) break
    }
    this.packets += written
    return written
  }

  #writeStaged(count: number): number {
    const outgoing = this.#outgoing
    const stride = this.#strideBytes
    const payloadBytes = this.#payloadBytes
    stamp(outgoing.stagingWords, stride >> 2, count, this.#next, this.#kind)
    return outgoing.writeEach(0, stride, count, payloadBytes, PACKET_TYPE_DATA_INBAND, 0, 0, 0)
  }

  #writeAppended(count: number): number {
    const outgoing = this.#outgoing
    const words = outgoing.batchWords
    const payloadBytes = this.#payloadBytes
    const next = this.#next
    const kind = this.#kind
    for (let index = 0; index < count; index += 1) {
      const word = outgoing.append(payloadBytes, PACKET_TYPE_DATA_INBAND, 0, 0, 0) >> 2
      words[word] = (next + index) | 0
      words[word + 1] = kind
    }
    const written = outgoing.writeBatch()
    // What did not fit is composed anew: a control message may come first.
    if (written < count) outgoing.clearBatch()
    return written
  }

  /** Writes and publishes one packet. 1: signal the peer; 0: sent; below 0: a RingStatus, nothing was sent. */
  send(): number {
    const words = this.#outgoing.stagingWords
    words[0] = this.#next
    words[1] = this.#kind
    const status = this.#outgoing.send(0, this.#payloadBytes, PACKET_TYPE_DATA_INBAND, 0, 0, 0)
    if (status < 0) return status
    this.#next = (this.#next + 1) | 0
    this.packets += 1
    return status
  }
}

/** Numbers the headers of `count` slots from `next` on. Control messages share the staging area: kinds too. */
function stamp(
  words: Int32Array,
  strideWords: number,
  count: number,
  next: number,
  kind: number,
): void {
  let at = 0
  for (let slot = 0; slot < count; slot += 1) {
    words[at] = (next + slot) | 0
    words[at + 1] = kind
    at += strideWords
  }
}
