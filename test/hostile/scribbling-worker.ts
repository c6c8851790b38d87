// The second thread of a hostile guest: it writes over what the guest shares with its host while both are at work there. It
// has no business with anything else, and shares nothing else.

import { parentPort, workerData } from 'node:worker_threads'
import { GuestMemory, type WasmMemory } from '@guestyard/guestmem'

import { Random } from './random.ts'
import { mutateRings } from './ring-mutations.ts'
import { ringsOf } from './ring-pages.ts'

/** One stretch of scribbling; answered with 'done'. */
export type ScribbleOrder =
  | {
      /** The rings, or for comparison the same pages of a memory that nobody else has. */
      readonly target: 'rings' | 'own'
      readonly pfns: readonly number[]
      readonly sendBytes: number
      readonly writes: number
      readonly seed: number
    }
  | {
      /** All RAM, the hypervisor's pages, the doorbells: every buffer that the guest's thread was given. */
      readonly target: 'everything'
      readonly buffers: readonly SharedArrayBuffer[]
      readonly writes: number
      readonly seed: number
    }

const memory = GuestMemory.attach(workerData as WasmMemory)

parentPort!.on('message', (order: ScribbleOrder) => {
  const random = new Random(order.seed)
  if (order.target !== 'everything') {
    const target = order.target === 'rings' ? memory : ownMemory()
    const rings = ringsOf(target, order.pfns, order.sendBytes)
    for (let i = 0; i < order.writes; i += 1) mutateRings(rings, random)
  } else {
    const targets = [memory.i32, ...order.buffers.map((buffer) => new Int32Array(buffer))]
    for (let i = 0; i < order.writes; i += 1) {
      const words = random.pick(targets)
      // What controls the rest comes first in each of them: pages of the kernel, words of the hypervisor, counters.
      const at = random.below(random.chance(70) ? Math.min(words.length, 65_536) : words.length)
      Atomics.store(words, at, random.chance(50) ? random.u32() | 0 : random.below(32))
    }
  }
  parentPort!.postMessage('done')
})

let own: GuestMemory | undefined

/** As large as the guest's. */
function ownMemory(): GuestMemory {
  own ??= GuestMemory.create({ sizeBytes: memory.sizeBytes })
  return own
}
