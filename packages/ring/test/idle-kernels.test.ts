// Whoever opens and closes channels chooses the sizes of their rings, and must not be able to choose how many private
// memories the other side makes for them.

import { GuestMemory, PageList, WASM_PAGE_SIZE } from '@guestyard/guestmem'
import { RingPair, hasWasmKernel, inspectRingMemories, openRings } from '@guestyard/ring'
import { describe, expect, test } from 'vitest'

import { KINDS } from './ring-fixture.ts'

const RAM_BYTES = 4 << 20

function ram(maximumBytes = RAM_BYTES): GuestMemory {
  return GuestMemory.create({ sizeBytes: RAM_BYTES, maximumBytes })
}

/** Rings of `pages` pages with their control page over zeroed RAM, one of two that send nothing and one that is larger. */
function opened(memory: GuestMemory, pages: number, kernel: 'wasm' | 'typed' = 'wasm'): RingPair {
  const list = PageList.from(
    memory,
    Uint32Array.from({ length: pages + 2 }, (_, page) => page % memory.pageCount),
  )!
  const pair = openRings(list, pages, 'host', { kernel })
  if (!(pair instanceof RingPair)) throw new Error(pair)
  return pair
}

/** `count` pairs open at once, then none. */
function openAll(memory: GuestMemory, count: number, pages: number): void {
  const pairs = Array.from({ length: count }, () => opened(memory, pages))
  for (const pair of pairs) pair.close()
}

describe.runIf(hasWasmKernel())('private memories', () => {
  const madeBy = (act: () => void): number => {
    const before = inspectRingMemories().made
    act()
    return inspectRingMemories().made - before
  }

  test('ten thousand opens of changing sizes make as many as were open at once', () => {
    const memory = ram()
    const made = madeBy(() => {
      for (let round = 0; round < 100; round += 1) {
        for (const [count, pages] of [
          [33, 3],
          [33, 50],
          [1, 140],
          [33, 400],
        ] as const) {
          openAll(memory, count, pages)
        }
      }
    })
    expect(made).toBe(33)
  })

  test('small pairs, however many closed, leave what a larger one can use', () => {
    const memory = ram()
    openAll(memory, 64, 3)
    expect(madeBy(() => opened(memory, 140).close())).toBe(0)
  })

  test('one of a size that few have is made once, not each time', () => {
    const memory = ram()
    openAll(memory, 33, 3)
    const huge = 100_000
    const made = madeBy(() => {
      for (let round = 0; round < 10; round += 1) {
        opened(memory, huge).close()
        openAll(memory, 33, 3)
      }
    })
    expect(made).toBe(1)
  })

  test('idle ones of one shared memory are sixty-four at most', () => {
    const memory = ram()
    openAll(memory, 80, 3)
    expect(madeBy(() => openAll(memory, 80, 3))).toBe(16)
  })

  test('idle ones of one shared memory hold 64 MiB at most', () => {
    const memory = ram()
    const pages = 300_000
    openAll(memory, 20, pages)
    // Each has 4 MiB.
    expect(madeBy(() => openAll(memory, 20, pages))).toBe(4)
  })

  test('more RAM costs none of them', () => {
    const memory = ram(RAM_BYTES + 16 * WASM_PAGE_SIZE)
    openAll(memory, 8, 3)
    const made = madeBy(() => {
      for (let step = 0; step < 16; step += 1) {
        expect(memory.grow(WASM_PAGE_SIZE)).toBe(true)
        openAll(memory, 8, 3)
      }
    })
    expect(made).toBe(0)
  })
})

describe.each(KINDS)('%s', (kernel) => {
  test('what is left of a pair reaches pages that came after it', () => {
    const memory = ram(RAM_BYTES + WASM_PAGE_SIZE)
    const ends = [opened(memory, 3, kernel), opened(memory, 3, kernel)]
    for (const pair of ends) pair.close()
    const first = memory.pageCount
    expect(memory.grow(WASM_PAGE_SIZE)).toBe(true)
    const list = PageList.from(memory, [first, first + 1, first + 2, first + 3])!
    const guest = openRings(list, 2, 'guest', { kernel })
    const host = openRings(list, 2, 'host', { kernel })
    if (!(guest instanceof RingPair && host instanceof RingPair)) throw new Error('refused')
    expect([guest.isFresh, host.isFresh]).toEqual([false, false])
    guest.outgoing.staging.fill(7, 0, 64)
    guest.outgoing.send(0, 64, 6, 0, 5, 0)
    expect(host.incoming.drain(1)).toBe(1)
    expect(host.incoming.arena[host.incoming.payloadAt(0) + 63]).toBe(7)
  })
})
