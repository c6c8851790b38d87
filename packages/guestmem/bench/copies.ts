// What a copy costs: kernels between and inside memories, beside `Uint8Array.set`. Nanoseconds a
// copy, best of many.
//
//   node packages/guestmem/bench/copies.ts
import { createCopyKernel, createMemoryKernel, wasm } from '@guestyard/guestmem'

const SIZES = [16, 64, 256, 1024, 4096, 16_384, 65_536]
const ROUNDS = 400

const local = new wasm.Memory({ initial: 4, maximum: 4 })
const remote = new wasm.Memory({ initial: 4, maximum: 4, shared: true })
const kernel = createCopyKernel(local, remote)
const inside = createMemoryKernel(remote)
const localBytes = new Uint8Array(local.buffer)
const remoteBytes = new Uint8Array(remote.buffer)

/**
 * `copies` copies of `length` bytes, in each way there is: a loop of its own for each, as a caller
 * would have.
 */
const WAYS: Readonly<Record<string, (length: number, copies: number) => void>> = {
  'kernel, to remote': (length, copies) => {
    for (let index = 0; index < copies; index += 1) kernel.toRemote(0, 0, length)
  },
  'kernel, to local': (length, copies) => {
    for (let index = 0; index < copies; index += 1) kernel.toLocal(0, 0, length)
  },
  'kernel, inside': (length, copies) => {
    for (let index = 0; index < copies; index += 1) inside.copy(131_072, 0, length)
  },
  'set, to remote': (length, copies) => {
    for (let index = 0; index < copies; index += 1) {
      remoteBytes.set(localBytes.subarray(0, length), 0)
    }
  },
  'set, to local': (length, copies) => {
    for (let index = 0; index < copies; index += 1) {
      localBytes.set(remoteBytes.subarray(0, length), 0)
    }
  },
}

function nanoseconds(way: (length: number, copies: number) => void, length: number): number {
  const copies = Math.max(20, Math.floor(40_000 / (length / 64 + 10)))
  let best = Infinity
  for (let round = 0; round < ROUNDS; round += 1) {
    const began = performance.now()
    way(length, copies)
    best = Math.min(best, ((performance.now() - began) * 1e6) / copies)
  }
  return best
}

console.log(`Node ${process.version}; nanoseconds a copy`)
console.log(['bytes'.padStart(8), ...Object.keys(WAYS).map((way) => way.padStart(18))].join(''))
for (const size of SIZES) {
  const cells = Object.values(WAYS).map((way) => nanoseconds(way, size).toFixed(1).padStart(18))
  console.log([String(size).padStart(8), ...cells].join(''))
}
