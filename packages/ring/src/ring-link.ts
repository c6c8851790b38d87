// Two rings and two doorbells between two threads: what somebody needs who uses the ring alone.
//
// `createRingLink` makes plain data that `postMessage` carries. Each thread opens its side of it,
// and gets a port.

import { PAGE_SIZE, assert } from '@guestyard/hvdef'
import { WASM_PAGE_SIZE, type WasmMemory, wasm } from '@guestyard/guestmem'
import { DOORBELL_BYTES, Doorbell } from './doorbell.ts'
import type { IncomingRing } from './incoming-ring.ts'
import type { OutgoingRing } from './outgoing-ring.ts'
import { roundUp } from './ring-kernel.ts'
import { contiguousRingPages, initializeRing, ringBytes } from './ring-pages.ts'
import { type RingPair, type RingPairOptions, createRingPair } from './ring-pair.ts'

/** Side of a link. The two are alike; one thread takes each. */
export type LinkSide = 'a' | 'b'

/** A link, as plain data: post it to the other thread. */
export interface RingLink {
  /** A shared WebAssembly memory, or a SharedArrayBuffer where one was asked for. */
  readonly shared: WasmMemory | SharedArrayBuffer
  /** Bytes of data of each of the two rings. */
  readonly dataBytes: number
  /** Two doorbells: that of side a, then that of side b. */
  readonly doorbells: SharedArrayBuffer
}

/** One side of a link: its ring ends, its own doorbell, and that of the other side. One thread. */
export interface RingPort {
  readonly outgoing: OutgoingRing
  readonly incoming: IncomingRing
  /** Rung by the other side: wait on it. */
  readonly doorbell: Doorbell
  /** Ring it when `commit` or `send` says so. */
  readonly peerDoorbell: Doorbell
  close(): void
}

/**
 * Memory for a link with two rings of `bytes` each, rounded up to whole pages. `typed` asks for a
 * SharedArrayBuffer instead of a WebAssembly memory: it needs no reserved address space, and runs
 * on the slower typed-array kernel.
 */
export function createRingLink(bytes: number, kind: 'wasm' | 'typed' = 'wasm'): RingLink {
  assert(bytes > 0 && bytes <= 0x4000_0000, 'A ring holds between one page and 1 GiB.')
  const dataBytes = roundUp(bytes, PAGE_SIZE)
  const sharedBytes = roundUp(2 * ringBytes(dataBytes), WASM_PAGE_SIZE)
  const pages = sharedBytes / WASM_PAGE_SIZE
  const shared =
    kind === 'wasm'
      ? new wasm.Memory({ initial: pages, maximum: pages, shared: true })
      : new SharedArrayBuffer(sharedBytes)
  const link = { shared, dataBytes, doorbells: new SharedArrayBuffer(2 * DOORBELL_BYTES) }
  initializeRing(contiguousRingPages(shared, 0, dataBytes))
  initializeRing(contiguousRingPages(shared, ringBytes(dataBytes), dataBytes))
  return link
}

/** This thread's side of a link. Each side is opened once. */
export function openRingLink(
  link: RingLink,
  side: LinkSide,
  options: RingPairOptions = {},
): RingPort {
  const aToB = contiguousRingPages(link.shared, 0, link.dataBytes)
  const bToA = contiguousRingPages(link.shared, ringBytes(link.dataBytes), link.dataBytes)
  const pair: RingPair =
    side === 'a' ? createRingPair(aToB, bToA, options) : createRingPair(bToA, aToB, options)
  const bells = [new Doorbell(link.doorbells, 0), new Doorbell(link.doorbells, DOORBELL_BYTES)]
  return {
    outgoing: pair.outgoing,
    incoming: pair.incoming,
    doorbell: bells[side === 'a' ? 0 : 1]!,
    peerDoorbell: bells[side === 'a' ? 1 : 0]!,
    close: () => pair.close(),
  }
}
