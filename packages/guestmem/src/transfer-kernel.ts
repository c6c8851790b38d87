// Copies from one private memory to another, or inside one: a WebAssembly kernel, and its plain
// twin.

import { checkRange } from './memory-kernel.ts'
import { TRANSFER_KERNEL_BASE64 } from './transfer-kernel-module.ts'
import { type WasmMemory, type WasmModule, compileBase64, wasm } from './wasm.ts'

/**
 * Copies `lengthBytes` from address `fromAt` of one memory to `toAt` of the other. They were
 * checked: what lies outside throws, and is a bug of the caller.
 */
export type TransferKernel = (toAt: number, fromAt: number, lengthBytes: number) => void

let compiled: WasmModule | undefined

/**
 * The kernel of two private memories, which may be the same one; neither grows. Needs multi-memory
 * (`hasMultiMemory`). 5 ns a call, then memcpy speed; no garbage.
 */
export function createTransferKernel(to: WasmMemory, from: WasmMemory): TransferKernel {
  compiled ??= compileBase64(TRANSFER_KERNEL_BASE64)
  const { exports } = new wasm.Instance(compiled, { guestmem: { to, from } })
  return exports['copy'] as TransferKernel
}

/** The same in plain TypeScript, over any two buffers. It leaves a subarray for each copy. */
export function createTransferKernelTwin(
  toBuffer: ArrayBufferLike,
  fromBuffer: ArrayBufferLike,
): TransferKernel {
  const to = new Uint8Array(toBuffer)
  const from = new Uint8Array(fromBuffer)
  return (toAt, fromAt, lengthBytes) => {
    checkRange(to, toAt, lengthBytes)
    checkRange(from, fromAt, lengthBytes)
    to.set(from.subarray(fromAt, fromAt + lengthBytes), toAt)
  }
}
