// Copies from one private memory to another, or inside one: a WebAssembly kernel, and its plain
// twin. And from one guest's RAM to another's.

import { GUEST_TRANSFER_KERNEL_BASE64 } from './guest-transfer-kernel-module.ts'
import type { GuestMemory } from './guest-memory.ts'
import { hasMultiMemory } from './copy-kernel.ts'
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

let compiledForGuests: WasmModule | undefined

/**
 * Copies from the RAM of one guest to that of another, or inside one; addresses are GPAs, checked by the caller. One copy, at memcpy
 * speed, and no garbage where the platform has multi-memory; else the twin.
 */
export function createGuestTransferKernel(to: GuestMemory, from: GuestMemory): TransferKernel {
  const copy = guestCopy(to, from)
  const toBase = to.baseBytes
  const fromBase = from.baseBytes
  if (toBase === 0 && fromBase === 0) return copy
  return (toAt, fromAt, lengthBytes) => copy(toBase + toAt, fromBase + fromAt, lengthBytes)
}

function guestCopy(to: GuestMemory, from: GuestMemory): TransferKernel {
  if (!hasMultiMemory()) return createTransferKernelTwin(to.buffer, from.buffer)
  compiledForGuests ??= compileBase64(GUEST_TRANSFER_KERNEL_BASE64)
  const imports = { guestmem: { to: to.memory, from: from.memory } }
  const { exports } = new wasm.Instance(compiledForGuests, imports)
  return exports['copy'] as TransferKernel
}
