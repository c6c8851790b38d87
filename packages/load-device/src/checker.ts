// HOT
// The receiving half of a load: every DATA packet of a drained batch is checked for its place in the sequence
// and for its length, and counted. Reads the ring's private arena only.

import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import type { IncomingRing } from '@guestyard/ring'
import { LOAD_KIND_DATA } from './protocol.ts'

const KIND_MASK = 0xffff
const UNUSED_SHIFT = 16
const UNUSED_MAX = 7
const HEADER_BYTES = 8
const DESCRIPTOR_BYTES = 16
/** First word of the descriptor of a packet without a type-specific header: its type, and offset8 = 2. */
const PLAIN_INBAND = PACKET_TYPE_DATA_INBAND | (2 << 16)

export class PacketChecker {
  /** DATA packets seen, right or wrong. */
  packets: number
  /** Their payload bytes, padding left out. */
  bytes: number
  /** Packets out of sequence or of a wrong length; after one, the sequence goes on from what came. */
  errors: number
  readonly #incoming: IncomingRing
  readonly #words: Int32Array
  readonly #payloadBytes: number
  readonly #exactKind: number
  /** Second word of a right packet's descriptor, length8 without flags; 0 when many lengths are right. */
  readonly #exactLength8: number
  readonly #mostLength: number
  /** Sequence number that comes next, as a signed word. */
  #expected: number

  /** `payloadBytes` is what every packet must have when `isExact`, else the most it may have. */
  constructor(incoming: IncomingRing, payloadBytes: number, isExact: boolean) {
    const rounded = (payloadBytes + 7) & ~7
    this.packets = 0
    this.bytes = 0
    this.errors = 0
    this.#incoming = incoming
    this.#words = incoming.arenaWords
    this.#payloadBytes = payloadBytes
    this.#exactLength8 = isExact ? (rounded + DESCRIPTOR_BYTES) >> 3 : 0
    this.#exactKind = LOAD_KIND_DATA | ((rounded - payloadBytes) << UNUSED_SHIFT)
    this.#mostLength = rounded
    this.#expected = 0
  }

  /** The sequence number that comes next, 0..2^32-1. */
  get expected(): number {
    return this.#expected >>> 0
  }

  /** The other end's END_OF_STREAM: its place in the sequence and its count must agree with what came. */
  checkEnd(sequence: number, packets: number): void {
    if (sequence !== this.expected || packets !== this.packets) this.errors += 1
  }

  /** True when packet `index` of the batch is an in-band DATA packet of a length that can be checked. */
  isData(index: number): boolean {
    const incoming = this.#incoming
    if (incoming.packetType(index) !== PACKET_TYPE_DATA_INBAND) return false
    const length = incoming.payloadLength(index)
    if (length < HEADER_BYTES || length > this.#mostLength) return false
    const kind = this.#words[(incoming.payloadAt(index) >> 2) + 1]!
    return (kind & KIND_MASK) === LOAD_KIND_DATA && kind >>> UNUSED_SHIFT <= UNUSED_MAX
  }

  /** Checks packets `first` up to `end` of the batch. Returns the first that is no DATA packet, or `end`. */
  check(first: number, end: number): number {
    const incoming = this.#incoming
    const words = this.#words
    const exactLength8 = this.#exactLength8
    const exactKind = this.#exactKind
    const exactBytes = this.#payloadBytes
    let expected = this.#expected
    let errors = 0
    let bytes = 0
    let index = first
    for (; index < end; index += 1) {
      // The arena has each packet with its descriptor, which the ring has validated.
      const word = incoming.headerAt(index) >> 2
      if (
        words[word - 3] === exactLength8 &&
        words[word + 1] === exactKind &&
        words[word - 4] === PLAIN_INBAND
      ) {
        if (words[word] !== expected) {
          errors += 1
          expected = words[word]!
        }
        bytes += exactBytes
      } else {
        if (!this.isData(index)) break
        const sequence = words[incoming.payloadAt(index) >> 2]!
        // Of a wrong length, out of sequence, or both: one error. Some flags are no error of ours.
        if (sequence !== expected || !this.#hasRightLength(index)) errors += 1
        expected = sequence
        const kind = words[(incoming.payloadAt(index) >> 2) + 1]!
        bytes += incoming.payloadLength(index) - (kind >>> UNUSED_SHIFT)
      }
      expected = (expected + 1) | 0
    }
    this.#expected = expected
    this.errors += errors
    this.bytes += bytes
    this.packets += index - first
    return index
  }

  #hasRightLength(index: number): boolean {
    if (this.#exactLength8 === 0) return true
    const kind = this.#words[(this.#incoming.payloadAt(index) >> 2) + 1]!
    return kind === this.#exactKind && this.#incoming.payloadLength(index) === this.#mostLength
  }
}
