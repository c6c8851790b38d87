// A VP's thread that does nothing but look pages up: each answer is one of those that its page ever has.

import { parentPort, workerData } from 'node:worker_threads'
import { SlatReader } from '@guestyard/guestmem'

export interface SlatWorkerData {
  readonly slat: SharedArrayBuffer
  /** Word 0: stop. Word 1: ready. */
  readonly words: SharedArrayBuffer
  readonly pages: readonly number[]
  /** Entries that a page may have, by page. */
  readonly allowed: readonly (readonly number[])[]
}

const data = workerData as SlatWorkerData
const words = new Int32Array(data.words)
const reader = new SlatReader(data.slat)
const seen = data.pages.map(() => new Set<number>())
const wrong: number[][] = []
let lookUps = 0
Atomics.store(words, 1, 1)
Atomics.notify(words, 1)
while (Atomics.load(words, 0) === 0) {
  for (const [index, page] of data.pages.entries()) {
    const entry = reader.lookUp(page)
    seen[index]!.add(entry)
    if (!data.allowed[index]!.includes(entry) && wrong.length < 8) wrong.push([page, entry])
    lookUps += 1
  }
}
parentPort!.postMessage({ wrong, lookUps, kinds: seen.map((entries) => entries.size) })
