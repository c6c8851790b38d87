// Kernels of closed pairs, by shared memory. A private memory reserves gigabytes of addresses where
// the platform guards it with unmapped pages, so a channel that opens and closes ten thousand times
// must not make ten thousand of them. They come in few sizes, so that whoever chooses the sizes of
// rings cannot fill the list with kernels that the next pair cannot use.

import type { WasmMemory } from '@guestyard/guestmem'
import type { KernelKind, RingKernel } from './ring-kernel.ts'

/**
 * A private memory with room for every pair whose rings are of 64 MiB at most, together, and whose areas have their
 * usual sizes. What a pair does not touch of it is addresses, not memory.
 */
const USUAL_BYTES = 1 << 20
/** What a kernel keeps of it for itself is less. */
const OWN_BYTES = 4096
/** Kept for one shared memory: as many as a guest's devices have channels, and bytes of all of them. */
const IDLE_KERNELS_MAX = 64
const IDLE_BYTES_MAX = 64 * USUAL_BYTES

/** Longest idle first. */
const idleKernels = new WeakMap<object, RingKernel[]>()

/** Private bytes to make a kernel with for a pair that needs `privateBytes`. */
export function pooledBytes(privateBytes: number): number {
  let bytes = USUAL_BYTES
  while (bytes - OWN_BYTES < privateBytes) bytes *= 2
  return bytes - OWN_BYTES
}

/** Keeps the kernel of a pair that has closed for the next one over the same shared memory. */
export function recycleKernel(shared: object, kernel: RingKernel): void {
  const idle = idleKernels.get(shared) ?? []
  idleKernels.set(shared, idle)
  idle.push(kernel)
  let bytes = 0
  for (const { u8 } of idle) bytes += u8.length
  while (idle.length > IDLE_KERNELS_MAX || bytes > IDLE_BYTES_MAX) {
    bytes -= idle.shift()!.u8.length
  }
}

/** The smallest idle kernel with room for `privateBytes`; undefined when there is none. */
export function takeKernel(
  shared: WasmMemory | SharedArrayBuffer,
  privateBytes: number,
  kind: KernelKind,
): RingKernel | undefined {
  const idle = idleKernels.get(shared)
  if (idle === undefined) return undefined
  let best = -1
  for (let index = idle.length - 1; index >= 0; index -= 1) {
    const { capacity, requested } = idle[index]!
    if (capacity < privateBytes || requested !== kind) continue
    if (best < 0 || capacity < idle[best]!.capacity) best = index
  }
  if (best < 0) return undefined
  const [kernel] = idle.splice(best, 1)
  kernel!.reset(shared)
  return kernel
}
