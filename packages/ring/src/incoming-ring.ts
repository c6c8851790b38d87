// HOT. The receiving end of a ring.
//
// `drain` validates packets and copies them into `arena`, where the peer cannot change them any
// more; accessors read packet `i` of the last drain. `commit` then gives the space back. Nothing
// here allocates, waits or throws for what the peer wrote.
//
// Going to sleep:  commit()  →  unmask()  →  true: drain again;  false: wait for a signal, then
// mask() and drain. An end that died on the way answers true: the drain says that it is dead.

import {
  PACKET_LENGTH_MAX,
  PACKET_TRAILER_SIZE,
  PAGE_SIZE,
  PacketType,
  assert,
} from '@guestyard/hvdef'
import { type RingKernel, roundUp } from './ring-kernel.ts'
import { RingFault, RingStatus, ringFaultName } from './ring-fault.ts'
import type { RingPages } from './ring-pages.ts'
import { RingEnd, assertRingPages, initializeState, stateBytes } from './ring-state.ts'
import * as layout from './state-layout.ts'

export interface IncomingRingOptions {
  /**
   * Packet types to accept; any other is a fault. In-band, transfer-page, GPA-direct and completion
   * when left out.
   */
  readonly accept?: readonly number[]
  /**
   * Bytes of the arena, rounded up to 16. Room for the largest packet, trailer included, when left
   * out, and at least 64 KiB.
   */
  readonly arenaBytes?: number
  /** Packets one `drain` can take, 1024 when left out. */
  readonly maxPackets?: number
  /**
   * Largest packet to accept, descriptor included, trailer not. A larger one is a fault. What fits
   * the arena with its trailer when left out, and never more.
   */
  readonly maxPacketBytes?: number
  /** Ranges that a GPA-direct or transfer-page packet may carry, 4096 when left out. */
  readonly maxRanges?: number
  /**
   * Whether the peer is asked for no signals from the start, true when left out: it is until the
   * first `unmask`.
   */
  readonly masked?: boolean
}

const ARENA_MIN_BYTES = 65536
const ARENA_UNIT = 16
const MAX_PACKETS = 1024
const MAX_RANGES = 4096
const DESCRIPTOR_BYTES = 16
const RANGE_PREFIX_BYTES = 8
const ACCEPT = [
  PacketType.DATA_INBAND,
  PacketType.DATA_USING_TRANSFER_PAGES,
  PacketType.DATA_USING_GPA_DIRECT,
  PacketType.COMPLETION,
]

function arenaBytesOf(ring: RingPages, options: IncomingRingOptions): number {
  const largest = Math.min(ring.dataAt.length * PAGE_SIZE, PACKET_LENGTH_MAX + PACKET_TRAILER_SIZE)
  return roundUp(options.arenaBytes ?? Math.max(ARENA_MIN_BYTES, largest), ARENA_UNIT)
}

/** Private bytes that an `IncomingRing` with these options takes. */
export function incomingPrivateBytes(ring: RingPages, options: IncomingRingOptions = {}): number {
  const table = (options.maxPackets ?? MAX_PACKETS) * layout.INDEX_ENTRY_BYTES
  return stateBytes(ring) + table + arenaBytesOf(ring, options) + layout.AREA_SLACK + 64
}

export class IncomingRing extends RingEnd {
  /** Private copies of the packets of the last `drain` or `peek`, descriptor first. */
  readonly arena: Uint8Array<ArrayBuffer>
  readonly arenaView: DataView<ArrayBuffer>
  readonly arenaWords: Int32Array<ArrayBuffer>
  /** Private address of the arena. */
  readonly arenaAt: number
  /** For each packet its place in the arena, and that of its payload. */
  readonly #index: Int32Array<ArrayBuffer>
  readonly #quarter: number
  /** `drain` or `peek` has answered that this end is dead. */
  #isFaultTold = false

  /** Use `createRingPair` or `openRings`, unless this end is all you need. */
  constructor(kernel: RingKernel, ring: RingPages, options: IncomingRingOptions = {}) {
    assertRingPages(ring)
    super(kernel, kernel.allocate(incomingPrivateBytes(ring, options)))
    const maxPackets = options.maxPackets ?? MAX_PACKETS
    const arenaBytes = arenaBytesOf(ring, options)
    const tableAt = initializeState(kernel, this.s, ring)
    const areaAt = (tableAt + maxPackets * layout.INDEX_ENTRY_BYTES + 63) & -64
    const buffer = kernel.u8.buffer
    this.arenaAt = areaAt
    this.arena = new Uint8Array(buffer, areaAt, arenaBytes)
    this.arenaView = new DataView(buffer, areaAt, arenaBytes)
    this.arenaWords = new Int32Array(buffer, areaAt, arenaBytes >> 2)
    this.#index = new Int32Array(buffer, tableAt, maxPackets * 2)
    this.#quarter = this.sizeBytes >> 2
    assert((options.maxPacketBytes ?? 0) >= 0, 'A limit on packets is not negative.')
    // The arena takes a packet with its trailer: one that is not too large always fits it.
    const arenaPacketBytes = arenaBytes - PACKET_TRAILER_SIZE
    const maxPacketBytes = Math.min(options.maxPacketBytes ?? arenaPacketBytes, arenaPacketBytes)
    this.setWord(layout.TABLE_AT, tableAt)
    this.setWord(layout.TABLE_COUNT, maxPackets)
    this.setWord(layout.AREA_AT, areaAt)
    this.setWord(layout.AREA_BYTES, arenaBytes)
    this.setWord(layout.MAX_TOTAL, maxPacketBytes + PACKET_TRAILER_SIZE)
    this.setWord(layout.MAX_RANGES, options.maxRanges ?? MAX_RANGES)
    this.setWord(layout.ACCEPT, acceptBits(options.accept ?? ACCEPT))
    const shared = kernel.sharedI32
    this.adoptIndices(
      Atomics.load(shared, this.controlWord(layout.CONTROL_OUT)),
      Atomics.load(shared, this.controlWord(layout.CONTROL_IN)),
      RingFault.BAD_READ_INDEX,
      RingFault.BAD_WRITE_INDEX,
    )
    if (options.masked ?? true) this.mask()
  }

  /**
   * Takes up to `maxPackets` packets out of the ring, or as many as the arena holds. Returns how
   * many; 0 when there are none; RingStatus.FAULT when this end is dead. Packets before a bad one
   * are delivered first. The packets of an earlier drain are gone from the arena.
   */
  drain(maxPackets: number): number {
    const count = this.calls.receive(this.s, maxPackets)
    return count !== 0 ? count : this.#nothing()
  }

  /**
   * Looks at the next packet without taking it: its descriptor and header are copied into the
   * arena, as packet 0, and validated; its payload stays where it is, and `nextSpan` gives its
   * pieces. 1, 0 or RingStatus.FAULT as `drain`. Then `consume`.
   */
  peek(): number {
    const count = this.calls.peek(this.s)
    if (count === 0) return this.#nothing()
    this.spanOffset = this.word(layout.NEXT) + this.payloadAt(0)
    this.spanLeft = this.payloadLength(0)
    return count
  }

  /** Takes the packet that `peek` showed. Its place is the sender's again after `commit`. */
  consume(): void {
    assert(this.word(layout.PEEKED) !== 0, 'A packet is peeked at before it is consumed.')
    this.calls.consume(this.s)
    this.spanLeft = 0
  }

  /** The kernel in whose private memory the arena lies. */
  get arenaKernel(): RingKernel {
    return this.kernel
  }

  /** Type of packet `i`: one of those this end accepts. */
  packetType(i: number): number {
    return this.arenaWords[this.#index[i << 1]! >> 2]! & 0xffff
  }

  /** Flags of packet `i`: 1 when a completion is requested, else 0. */
  flags(i: number): number {
    return this.arenaWords[(this.#index[i << 1]! >> 2) + 1]! >>> 16
  }

  /**
   * Transaction id of packet `i`, in two halves, as signed 32-bit numbers: carry them back
   * untouched.
   */
  tidLow(i: number): number {
    return this.arenaWords[(this.#index[i << 1]! >> 2) + 2]!
  }

  tidHigh(i: number): number {
    return this.arenaWords[(this.#index[i << 1]! >> 2) + 3]!
  }

  /** Offset in the arena of the payload of packet `i`: a multiple of 8. */
  payloadAt(i: number): number {
    return this.#index[(i << 1) + 1]!
  }

  /** Payload bytes of packet `i`, padding included: a multiple of 8. */
  payloadLength(i: number): number {
    const at = this.#index[i << 1]! >> 2
    return ((this.arenaWords[at + 1]! & 0xffff) - (this.arenaWords[at]! >>> 16)) << 3
  }

  /** Offset in the arena of the type-specific header of packet `i`. */
  headerAt(i: number): number {
    return this.#index[i << 1]! + DESCRIPTOR_BYTES
  }

  /** Bytes of the type-specific header of packet `i`. */
  headerLength(i: number): number {
    return ((this.arenaWords[this.#index[i << 1]! >> 2]! >>> 16) << 3) - DESCRIPTOR_BYTES
  }

  /** Ranges that packet `i`, a GPA-direct or transfer-page packet, carries. */
  rangeCount(i: number): number {
    return this.arenaWords[(this.#index[i << 1]! >> 2) + 5]!
  }

  /** Where the ranges of packet `i` lie in the arena, for `parsePageRanges` of guestmem. */
  rangesAt(i: number): number {
    return this.headerAt(i) + RANGE_PREFIX_BYTES
  }

  /** Bytes of ranges of packet `i`. */
  rangesLength(i: number): number {
    return this.headerLength(i) - RANGE_PREFIX_BYTES
  }

  /** Set that the ranges of packet `i`, a transfer-page packet, are offsets into. */
  transferPageSetId(i: number): number {
    return this.arenaWords[(this.#index[i << 1]! >> 2) + 4]! & 0xffff
  }

  /**
   * Gives the sender back the space of everything taken. True: signal it, it waits for that space.
   * A dead end answers false. This looks at `in` again, so an end can die here: `fault` says so,
   * and so does `unmask`.
   */
  commit(): boolean {
    return this.calls.release(this.s) === 1
  }

  /**
   * As `commit`, but does nothing before a quarter of the ring has been taken: for a busy loop,
   * which spares the shared word. Before sleeping, and whenever `drain` finds nothing, call
   * `commit`: until then a sender may wait for the space this holds back.
   */
  commitLazily(): boolean {
    const taken = this.word(layout.NEXT) - this.word(layout.PUBLISHED)
    const bytes = taken < 0 ? taken + this.word(layout.SIZE) : taken
    return bytes >= this.#quarter && this.commit()
  }

  /** Awake: the peer need not signal. */
  mask(): void {
    if (this.fault !== RingFault.NONE) return
    // ORDER: alone. A sender that still sees the mask cleared sends a signal that finds this end
    // awake.
    Atomics.store(this.kernel.sharedI32, this.controlWord(layout.CONTROL_MASK), 1)
  }

  /**
   * About to sleep: the peer is asked to signal the next packet. True: packets came meanwhile, so
   * mask and drain instead of sleeping. Everything taken must have been committed, else the sender
   * would not see an empty ring and not signal. A dead end answers true until `drain` or `peek` has
   * answered RingStatus.FAULT, since nobody will signal it, and false from then on, so that its
   * death is neither slept through nor a reason never to sleep. A closed one answers false.
   */
  unmask(): boolean {
    const { fault } = this
    if (fault !== RingFault.NONE) return fault !== RingFault.CLOSED && !this.#isFaultTold
    assert(
      this.word(layout.NEXT) === this.word(layout.PUBLISHED),
      'What was taken is committed before signals are asked for.',
    )
    const shared = this.kernel.sharedI32
    // ORDER: the store comes before the load. The sender stores `in`, then reads the mask: either
    // it sees the mask cleared, or this sees the packet. Compared with what this end has read,
    // never with a copy of `in`.
    Atomics.store(shared, this.controlWord(layout.CONTROL_MASK), 0)
    return Atomics.load(shared, this.controlWord(layout.CONTROL_IN)) !== this.word(layout.NEXT)
  }

  /** Spins until there is a packet, `turns` looks at most. True when there is one. */
  spin(turns: number): boolean {
    if (this.fault !== RingFault.NONE) return false
    const incoming = (this.word(layout.CONTROL) >>> 0) + layout.CONTROL_IN
    return this.calls.spin(incoming, this.word(layout.NEXT), turns) === 1
  }

  /** What `drain` and `peek` answer when there is no packet. */
  #nothing(): number {
    if (this.fault === RingFault.NONE) return 0
    this.#isFaultTold = true
    return RingStatus.FAULT
  }

  /** State as plain data. Cold. */
  inspect(): IncomingRingInspection {
    return {
      fault: ringFaultName(this.fault),
      kernel: this.kernel.kind,
      sizeBytes: this.sizeBytes,
      next: this.word(layout.NEXT),
      published: this.word(layout.PUBLISHED),
      peerIndex: this.word(layout.PEER),
      packets: this.packets,
      bytes: this.bytes,
      publishes: this.publishes,
      signals: this.signals,
    }
  }
}

function acceptBits(types: readonly number[]): number {
  let bits = 0
  for (const type of types) {
    assert(type > 0 && type < 32, 'A packet type is between 1 and 31.')
    bits |= 1 << type
  }
  return bits
}

/** What `IncomingRing.inspect` answers. */
export interface IncomingRingInspection {
  readonly fault: string
  readonly kernel: string
  readonly sizeBytes: number
  readonly next: number
  readonly published: number
  readonly peerIndex: number
  readonly packets: number
  readonly bytes: number
  readonly publishes: number
  readonly signals: number
}
