// Where a ring lies: its control page and its data pages, each anywhere in one shared memory.

import { PAGE_SIZE, RING_FEATURE_PENDING_SEND_SIZE, assert } from '@guestyard/hvdef'
import type { PageList, WasmMemory } from '@guestyard/guestmem'
import { CONTROL_FEATURES } from './state-layout.ts'

/**
 * One ring's pages. Addresses are bytes into `shared`, page-aligned, and were checked to lie inside
 * it.
 */
export interface RingPages {
  /** A shared WebAssembly memory, or any SharedArrayBuffer. */
  readonly shared: WasmMemory | SharedArrayBuffer
  readonly controlAt: number
  /** One address for each 4 KiB of the data area, in ring order. */
  readonly dataAt: Uint32Array
}

/** The buffer behind a shared memory of either kind. */
export function sharedBuffer(shared: WasmMemory | SharedArrayBuffer): ArrayBufferLike {
  return shared instanceof SharedArrayBuffer ? shared : shared.buffer
}

/**
 * The ring in pages `first .. first + count` of a page list: control page first. At least two
 * pages.
 */
export function ringPagesOf(pages: PageList, first: number, count: number): RingPages {
  assert(count >= 2, 'A ring has a control page and at least one data page.')
  const { memory, baseBytes } = pages.memory
  const dataAt = new Uint32Array(count - 1)
  for (let page = 1; page < count; page += 1) {
    dataAt[page - 1] = baseBytes + pages.addressOf((first + page) * PAGE_SIZE)
  }
  return { shared: memory, controlAt: baseBytes + pages.addressOf(first * PAGE_SIZE), dataAt }
}

/** A ring in one stretch of a shared memory: control page at `at`, then `dataBytes` of data. */
export function contiguousRingPages(
  shared: WasmMemory | SharedArrayBuffer,
  at: number,
  dataBytes: number,
): RingPages {
  const size = sharedBuffer(shared).byteLength
  assert(at % PAGE_SIZE === 0 && dataBytes % PAGE_SIZE === 0, 'A ring is made of whole pages.')
  assert(dataBytes >= PAGE_SIZE, 'A ring has at least one data page.')
  assert(at + PAGE_SIZE + dataBytes <= size, 'A ring lies inside its memory.')
  const dataAt = new Uint32Array(dataBytes / PAGE_SIZE)
  for (let page = 0; page < dataAt.length; page += 1) dataAt[page] = at + PAGE_SIZE * (page + 1)
  return { shared, controlAt: at, dataAt }
}

/** Shared bytes that a ring with `dataBytes` of data takes: the control page comes on top. */
export function ringBytes(dataBytes: number): number {
  return PAGE_SIZE + dataBytes
}

/**
 * Empties a ring and states in its feature bits that its sender knows flow control. The owner of
 * the memory calls it, before either end is made.
 */
export function initializeRing(ring: RingPages): void {
  const words = new Int32Array(sharedBuffer(ring.shared), ring.controlAt, PAGE_SIZE >> 2)
  words.fill(0)
  // ORDER: nobody else sees the ring yet; the message that hands it over orders these writes.
  Atomics.store(words, CONTROL_FEATURES >> 2, RING_FEATURE_PENDING_SEND_SIZE)
}
