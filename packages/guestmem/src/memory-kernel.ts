// Copies and fills inside one shared memory: a WebAssembly kernel, and its plain twin.

import { MEMORY_KERNEL_BASE64 } from './memory-kernel-module.ts'
import { type WasmMemory, type WasmModule, compileBase64, wasm } from './wasm.ts'

/**
 * Copies and fills inside one memory. Addresses and lengths are bytes, and were checked: what lies
 * outside throws, and is a bug of the caller. Overlapping copies are right.
 */
export interface MemoryKernel {
  readonly copy: (to: number, from: number, lengthBytes: number) => void
  readonly fill: (at: number, byte: number, lengthBytes: number) => void
}

let compiled: WasmModule | undefined

/** The WebAssembly kernel of a shared memory. 5 ns a call, then memcpy speed. */
export function createMemoryKernel(memory: WasmMemory): MemoryKernel {
  compiled ??= compileBase64(MEMORY_KERNEL_BASE64)
  const { exports } = new wasm.Instance(compiled, { guestmem: { memory } })
  return {
    copy: exports['copy'] as MemoryKernel['copy'],
    fill: exports['fill'] as MemoryKernel['fill'],
  }
}

/** The same in plain TypeScript, over any buffer. */
export function createMemoryKernelTwin(buffer: ArrayBufferLike): MemoryKernel {
  const u8 = new Uint8Array(buffer)
  return {
    copy: (to, from, lengthBytes) => {
      checkRange(u8, to, lengthBytes)
      checkRange(u8, from, lengthBytes)
      u8.copyWithin(to, from, from + lengthBytes)
    },
    fill: (at, byte, lengthBytes) => {
      checkRange(u8, at, lengthBytes)
      u8.fill(byte, at, at + lengthBytes)
    },
  }
}

/** Throws what WebAssembly would trap on. */
export function checkRange(u8: Uint8Array, at: number, lengthBytes: number): void {
  const outside = at < 0 || lengthBytes < 0 || at > u8.length || lengthBytes > u8.length - at
  if (outside) throw new RangeError('memory access out of bounds')
}
