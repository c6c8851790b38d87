// A root that changes a SLAT while a VP's thread reads it, without a lock: every answer is one that was true at some moment.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import {
  SLAT_CHUNK_PAGES,
  SLAT_RIGHTS_ALL,
  Slat,
  SlatKind,
  SlatRight,
  slatEntry,
} from '@guestyard/guestmem'
import { expect, test } from 'vitest'

const CHUNKS = 8
const PAGES = CHUNKS * SLAT_CHUNK_PAGES
const CHANGES = 4_000

const plain = (page: number): number => slatEntry(SlatKind.RAM, SLAT_RIGHTS_ALL, page)
const readOnly = (page: number): number => slatEntry(SlatKind.RAM, SlatRight.READ, page)
const MMIO = slatEntry(SlatKind.MMIO, 0, 7)

test('a reader meets no entry that its page never had, whatever is split, merged, moved or taken away', async () => {
  const slat = new Slat({ ramPages: 2 * PAGES, gpaPages: 2 * PAGES })
  // Both halves are plain by turns, so that the run that readers keep jumps from one to the other.
  const pages = [0, 1, 511, 512, 700, PAGES - 1, PAGES, PAGES + 513, 2 * PAGES - 1]
  const allowed = pages.map((page) => [0, plain(page), readOnly(page), MMIO])
  const words = new Int32Array(new SharedArrayBuffer(8))
  const worker = new Worker(new URL('./slat-worker.ts', import.meta.url), {
    workerData: { slat: slat.buffer, words: words.buffer, pages, allowed },
  })
  const answer = once(worker, 'message') as Promise<
    [{ wrong: number[][]; lookUps: number; kinds: number[] }]
  >
  Atomics.wait(words, 1, 0, 10_000)
  for (let change = 0; change < CHANGES; change += 1) {
    const half = (change & 1) * PAGES
    slat.mapRam(half, half, PAGES, SLAT_RIGHTS_ALL)
    slat.unmap(PAGES - half, PAGES)
    slat.protect(half + (change % PAGES), 1, SlatRight.READ)
    slat.mapMmio(half + 511, 2, 7)
    slat.mapRam(half, half, SLAT_CHUNK_PAGES, SlatRight.READ)
  }
  Atomics.store(words, 0, 1)
  const [{ wrong, lookUps, kinds }] = await answer
  expect(wrong).toEqual([])
  expect(lookUps).toBeGreaterThan(1_000)
  // It did meet them while they changed.
  expect(Math.max(...kinds)).toBeGreaterThan(1)
})
