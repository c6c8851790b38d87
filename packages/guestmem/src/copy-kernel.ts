// Copies between two memories: a WebAssembly kernel where the platform has multi-memory, else its
// plain twin.

import { COPY_KERNEL_BASE64 } from './copy-kernel-module.ts'
import { checkRange } from './memory-kernel.ts'
import { type WasmMemory, type WasmModule, compileBase64, wasm } from './wasm.ts'

/**
 * Copies between `local`, which belongs to the caller alone, and `remote`, which is shared.
 * Addresses and lengths are bytes, and were checked: what lies outside throws, and is a bug of the
 * caller. Copies within one memory may overlap.
 */
export interface CopyKernel {
  readonly toRemote: (remoteAt: number, localAt: number, lengthBytes: number) => void
  readonly toLocal: (localAt: number, remoteAt: number, lengthBytes: number) => void
  readonly withinRemote: (to: number, from: number, lengthBytes: number) => void
  readonly withinLocal: (to: number, from: number, lengthBytes: number) => void
  readonly fillRemote: (at: number, byte: number, lengthBytes: number) => void
  readonly fillLocal: (at: number, byte: number, lengthBytes: number) => void
}

let compiled: WasmModule | undefined

/** True when this platform runs the WebAssembly kernel: it has multi-memory. */
export function hasMultiMemory(): boolean {
  try {
    compiled ??= compileBase64(COPY_KERNEL_BASE64)
    return true
  } catch {
    return false
  }
}

/**
 * The kernel of two memories: WebAssembly where it can be, else the twin. `remote` is a shared
 * memory; `local` a private one that never grows (growing detaches what views see).
 */
export function createCopyKernel(local: WasmMemory, remote: WasmMemory): CopyKernel {
  if (!hasMultiMemory()) return createCopyKernelTwin(local.buffer, remote.buffer)
  const { exports } = new wasm.Instance(compiled!, { guestmem: { local, remote } })
  return {
    toRemote: exports['toRemote'] as CopyKernel['toRemote'],
    toLocal: exports['toLocal'] as CopyKernel['toLocal'],
    withinRemote: exports['withinRemote'] as CopyKernel['withinRemote'],
    withinLocal: exports['withinLocal'] as CopyKernel['withinLocal'],
    fillRemote: exports['fillRemote'] as CopyKernel['fillRemote'],
    fillLocal: exports['fillLocal'] as CopyKernel['fillLocal'],
  }
}

/**
 * The same in plain TypeScript, over any two buffers. It leaves garbage (a subarray for each copy).
 */
export function createCopyKernelTwin(
  localBuffer: ArrayBufferLike,
  remoteBuffer: ArrayBufferLike,
): CopyKernel {
  const local = new Uint8Array(localBuffer)
  const remote = new Uint8Array(remoteBuffer)
  return {
    toRemote: (remoteAt, localAt, lengthBytes) =>
      copyTwin(remote, remoteAt, local, localAt, lengthBytes),
    toLocal: (localAt, remoteAt, lengthBytes) =>
      copyTwin(local, localAt, remote, remoteAt, lengthBytes),
    withinRemote: (to, from, lengthBytes) => copyTwin(remote, to, remote, from, lengthBytes),
    withinLocal: (to, from, lengthBytes) => copyTwin(local, to, local, from, lengthBytes),
    fillRemote: (at, byte, lengthBytes) => fillTwin(remote, at, byte, lengthBytes),
    fillLocal: (at, byte, lengthBytes) => fillTwin(local, at, byte, lengthBytes),
  }
}

function copyTwin(
  to: Uint8Array,
  toAt: number,
  from: Uint8Array,
  fromAt: number,
  lengthBytes: number,
): void {
  checkRange(to, toAt, lengthBytes)
  checkRange(from, fromAt, lengthBytes)
  to.set(from.subarray(fromAt, fromAt + lengthBytes), toAt)
}

function fillTwin(u8: Uint8Array, at: number, byte: number, lengthBytes: number): void {
  checkRange(u8, at, lengthBytes)
  u8.fill(byte, at, at + lengthBytes)
}
