// The private memories behind ring pairs, and the shared memory that grows under them.

import { GuestMemory, PageList } from '@guestyard/guestmem'
import { hasWasmKernel, openRings, type RingPair } from '@guestyard/ring'
import { expect, test } from 'vitest'

import { makeRing } from './ring-fixture.ts'

const GRANULE = 64 * 1024
const PAGES = 16

function pairAt(memory: GuestMemory, firstPage: number): RingPair {
  const pair = openRings(PageList.contiguous(memory, firstPage, 4)!, 2, 'guest')
  if (typeof pair === 'string') throw new Error(pair)
  return pair
}

test.runIf(hasWasmKernel())(
  'a closed pair’s private memory serves the next pair, though the shared memory has grown meanwhile',
  () => {
    const memory = GuestMemory.create({ sizeBytes: GRANULE, maximumBytes: 8 * GRANULE })
    const first = pairAt(memory, 0)
    first.close()
    for (let round = 1; round < 8; round++) {
      memory.grow(GRANULE)
      // Rings in pages that were not there when the private memory was joined to them.
      const pair = pairAt(memory, round * PAGES)
      expect(pair.outgoing.sharesKernelWith(first.outgoing)).toBe(true)
      const control = (round * PAGES * 4096) >> 2
      expect(pair.outgoing.send(0, 8, 6, 0, 0, 0)).toBeGreaterThanOrEqual(0)
      expect(Atomics.load(memory.i32, control)).toBe(32)
      pair.incoming.mask()
      expect(Atomics.load(memory.i32, control + (2 * 4096) / 4 + 2)).toBe(1)
      pair.close()
    }
  },
)

test.each(['wasm', 'typed'] as const)(
  'a ring between a processor’s rooms lies where the guest’s addresses say, and nowhere else (%s)',
  (kind) => {
    if (kind === 'wasm' && !hasWasmKernel()) return
    const rooms = { belowBytes: 3 * GRANULE, aboveBytes: GRANULE }
    const { memory, outgoing, incoming } = makeRing({ kind, rooms, pfns: [5, 9, 7] })
    const payload = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
    outgoing.staging.set(payload)
    expect(outgoing.send(0, payload.length, 6, 0, 0, 0)).toBeGreaterThanOrEqual(0)
    // Behind the packet's descriptor, in the first data page.
    expect(memory.u8.subarray(9 * 4096 + 16, 9 * 4096 + 24)).toEqual(payload)
    expect(incoming.drain(1)).toBe(1)
    const below = new Uint8Array(memory.memory.buffer, 0, rooms.belowBytes)
    expect(below.every((byte) => byte === 0)).toBe(true)
  },
)
