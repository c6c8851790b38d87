// Rings for tests: any size, any scatter of pages, both kernels, both ends in one thread.
import { PAGE_SIZE, PacketType } from '@guestyard/hvdef'
import { GuestMemory, PageList, type ProcessorRooms } from '@guestyard/guestmem'
import {
  IncomingRing,
  type IncomingRingOptions,
  type KernelKind,
  OutgoingRing,
  type OutgoingRingOptions,
  type RingPages,
  createRingKernel,
  incomingPrivateBytes,
  initializeRing,
  outgoingPrivateBytes,
  ringPagesOf,
} from '@guestyard/ring'

export const KINDS: readonly KernelKind[] = ['wasm', 'typed']

export interface RingFixture {
  readonly memory: GuestMemory
  readonly ring: RingPages
  readonly outgoing: OutgoingRing
  readonly incoming: IncomingRing
  /** Words of the control page. */
  readonly control: Int32Array
  /** Frame numbers of the ring: control page, then data pages. */
  readonly pfns: readonly number[]
}

export interface FixtureOptions {
  readonly kind?: KernelKind
  readonly dataPages?: number
  /** Frame numbers: control page, then data pages. In order from frame 0 when left out. */
  readonly pfns?: readonly number[]
  readonly outgoing?: OutgoingRingOptions
  readonly incoming?: IncomingRingOptions
  /** Both indices begin here. */
  readonly startAt?: number
  /** 256 KiB when left out. */
  readonly ramBytes?: number
  /** RAM lies between a processor's rooms, as a machine guest's does. */
  readonly rooms?: ProcessorRooms
}

export const RAM_BYTES = 1 << 18

/** Both ends of one ring, each over its own kernel. */
export function makeRing(options: FixtureOptions = {}): RingFixture {
  const kind = options.kind ?? 'wasm'
  const pfns = options.pfns ?? Array.from({ length: (options.dataPages ?? 1) + 1 }, (_, i) => i)
  const memory = GuestMemory.create({
    sizeBytes: options.ramBytes ?? RAM_BYTES,
    ...(options.rooms === undefined ? {} : { rooms: options.rooms }),
  })
  const pages = PageList.from(memory, pfns)!
  const ring = ringPagesOf(pages, 0, pages.pageCount)
  initializeRing(ring)
  const control = new Int32Array(memory.buffer, ring.controlAt, PAGE_SIZE >> 2)
  control[0] = options.startAt ?? 0
  control[1] = options.startAt ?? 0
  const sender = createRingKernel(ring.shared, outgoingPrivateBytes(ring, options.outgoing), kind)
  const receiver = createRingKernel(ring.shared, incomingPrivateBytes(ring, options.incoming), kind)
  return {
    memory,
    ring,
    control,
    pfns,
    outgoing: new OutgoingRing(sender, ring, options.outgoing),
    incoming: new IncomingRing(receiver, ring, options.incoming),
  }
}

/** The data area, in ring order, wherever its pages lie. */
export function dataOf(fixture: RingFixture): Uint8Array {
  const { dataAt } = fixture.ring
  const data = new Uint8Array(dataAt.length * PAGE_SIZE)
  for (let page = 0; page < dataAt.length; page += 1) {
    const at = dataAt[page]!
    data.set(fixture.memory.u8.subarray(at, at + PAGE_SIZE), page * PAGE_SIZE)
  }
  return data
}

/** Overwrites one 32-bit word of the data area. */
export function pokeData(fixture: RingFixture, offset: number, value: number): void {
  const at = fixture.ring.dataAt[offset >>> 12]! + (offset & (PAGE_SIZE - 1))
  fixture.memory.view.setUint32(at, value, true)
}

/**
 * What a peer does to announce one in-band packet of `total` ring bytes, trailer included: it writes
 * the descriptor and moves `in`. No sender of ours has to be able to write it.
 */
export function announcePacket(fixture: RingFixture, total: number): void {
  const { control, incoming } = fixture
  const at = control[0]!
  pokeData(fixture, at, PacketType.DATA_INBAND | (2 << 16))
  pokeData(fixture, (at + 4) % incoming.sizeBytes, (total - 8) / 8)
  Atomics.store(control, 0, (at + total) % incoming.sizeBytes)
}

/** Bytes that depend on a seed, so that a packet can be recognised. */
export function patternBytes(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = (seed * 2654435761 + 12345) >>> 0
  for (let index = 0; index < length; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[index] = state >>> 24
  }
  return bytes
}

export function payloadOf(incoming: IncomingRing, i: number): Uint8Array {
  const at = incoming.payloadAt(i)
  return incoming.arena.slice(at, at + incoming.payloadLength(i))
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
}
