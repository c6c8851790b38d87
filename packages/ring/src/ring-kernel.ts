// The inner loops of ring ends, behind one interface: WebAssembly where the platform has
// multi-memory, else the typed-array twin.
//
// A kernel joins one private memory to one shared memory. `s` is always the private address of an
// end's state (state-layout.ts).

import { assert } from '@guestyard/hvdef'
import {
  type TransferKernel,
  WASM_PAGE_SIZE,
  type WasmMemory,
  type WasmModule,
  compileBase64,
  createTransferKernel,
  createTransferKernelTwin,
  wasm,
} from '@guestyard/guestmem'
import type { KernelCalls } from './kernel-calls.ts'
import { RING_KERNEL_BASE64 } from './ring-kernel-module.ts'
import { RingFault } from './ring-fault.ts'
import { sharedBuffer } from './ring-pages.ts'
import { FAULT, STATE_BYTES } from './state-layout.ts'
import { TypedKernel } from './typed-kernel.ts'

/** Private address of the state that closed ends are left with: dead for ever. */
export const DEAD_END = 0

const ALLOCATION_UNIT = 64

/** Which implementation to use; `wasm` falls back to `typed` where the platform cannot run it. */
export type KernelKind = 'wasm' | 'typed'

/** One private memory joined to one shared memory, with room for the ends that were planned. */
export class RingKernel {
  readonly kind: KernelKind
  /** What was asked for, which the platform may not have. */
  readonly requested: KernelKind
  /** Ends keep it until they close: `reset` may replace it. */
  calls: KernelCalls
  /** Private memory: nobody else ever sees it. */
  readonly u8: Uint8Array<ArrayBuffer>
  readonly i32: Int32Array<ArrayBuffer>
  /** Shared words, for Atomics. Renewed by `reset`, so never kept by an end. */
  sharedI32: Int32Array
  /** The private memory of a WebAssembly kernel, else null. */
  readonly #memory: WasmMemory | null
  #used = DEAD_END + STATE_BYTES

  constructor(
    kinds: { readonly kind: KernelKind; readonly requested: KernelKind },
    calls: KernelCalls,
    privateMemory: WasmMemory | ArrayBuffer,
    shared: ArrayBufferLike,
  ) {
    const isPlain = privateMemory instanceof ArrayBuffer
    const buffer = isPlain ? privateMemory : privateMemory.buffer
    assert(buffer instanceof ArrayBuffer, 'Private memory is not shared.')
    this.#memory = isPlain ? null : privateMemory
    this.kind = kinds.kind
    this.requested = kinds.requested
    this.calls = calls
    this.u8 = new Uint8Array(buffer)
    this.i32 = new Int32Array(buffer)
    this.sharedI32 = new Int32Array(shared)
    this.i32[(DEAD_END + FAULT) >> 2] = RingFault.CLOSED
  }

  /** Private bytes for an end, aligned to a cache line and all zero. */
  allocate(bytes: number): number {
    const at = roundUp(this.#used, ALLOCATION_UNIT)
    this.#used = at + bytes
    assert(this.#used <= this.u8.length, 'A kernel has room for the ring ends it was made for.')
    this.u8.fill(0, at, at + bytes)
    return at
  }

  /** Private bytes that can be allocated after a `reset`. */
  get capacity(): number {
    return this.u8.length - roundUp(DEAD_END + STATE_BYTES, ALLOCATION_UNIT)
  }

  /** Copies from private memory of `other`, which may be this one, to private memory of this one. */
  transferFrom(other: RingKernel): TransferKernel {
    const from = other.#memory
    if (this.#memory !== null && from !== null) return createTransferKernel(this.#memory, from)
    return createTransferKernelTwin(this.u8.buffer, other.u8.buffer)
  }

  /**
   * Takes back every allocation, for the next ring pair over the same shared memory, which may have
   * grown: views end where it did when they were made.
   */
  reset(shared: WasmMemory | SharedArrayBuffer): void {
    this.#used = DEAD_END + STATE_BYTES
    const buffer = sharedBuffer(shared)
    if (this.sharedI32.byteLength === buffer.byteLength) return
    this.sharedI32 = new Int32Array(buffer)
    if (this.kind === 'typed') this.calls = new TypedKernel(this.u8.buffer, buffer)
  }
}

/**
 * Private memories that one process has at most, garbage that was not collected included. Each
 * reserves gigabytes of addresses where the platform guards it with unmapped pages, and there are
 * addresses for some sixteen thousand: the others are for the memories that are RAM.
 */
const MEMORIES_MAX = 8192

const memories = { made: 0, live: 0 }
const collected = new FinalizationRegistry<null>(() => {
  memories.live -= 1
})

/** Private WebAssembly memories of this thread's kernels: made so far, and not collected yet. */
export function inspectRingMemories(): { readonly made: number; readonly live: number } {
  return { ...memories }
}

let compiled: WasmModule | undefined

/** True when this platform runs the WebAssembly kernel: it has multi-memory, threads and SIMD. */
export function hasWasmKernel(): boolean {
  try {
    compiled ??= compileBase64(RING_KERNEL_BASE64)
    return true
  } catch {
    return false
  }
}

/**
 * A kernel with `privateBytes` of private memory over `shared`: a shared WebAssembly memory, or any
 * SharedArrayBuffer, which only the typed-array twin can use. The twin too when there are as many
 * private memories as there may be. A RangeError when the platform has no room for another.
 */
export function createRingKernel(
  shared: WasmMemory | SharedArrayBuffer,
  privateBytes: number,
  kind: KernelKind = 'wasm',
): RingKernel {
  if (shared instanceof SharedArrayBuffer) return createTypedKernel(shared, privateBytes, kind)
  if (kind === 'typed' || memories.live >= MEMORIES_MAX || !hasWasmKernel()) {
    return createTypedKernel(shared.buffer, privateBytes, kind)
  }
  const pages = Math.ceil(kernelBytes(privateBytes) / WASM_PAGE_SIZE)
  const privateMemory = new wasm.Memory({ initial: pages, maximum: pages })
  memories.made += 1
  memories.live += 1
  collected.register(privateMemory, null)
  const instance = new wasm.Instance(compiled!, { ring: { private: privateMemory, shared } })
  const exports = instance.exports as unknown as KernelCalls
  return new RingKernel(
    { kind: 'wasm', requested: kind },
    plainCalls(exports),
    privateMemory,
    shared.buffer,
  )
}

function createTypedKernel(
  shared: ArrayBufferLike,
  privateBytes: number,
  requested: KernelKind,
): RingKernel {
  const buffer = new ArrayBuffer(roundUp(kernelBytes(privateBytes), 8))
  const calls = new TypedKernel(buffer, shared)
  return new RingKernel({ kind: 'typed', requested }, calls, buffer, shared)
}

/**
 * The exports as an ordinary object, whose properties the compiler reads faster than those of an
 * exports object.
 */
function plainCalls(exports: KernelCalls): KernelCalls {
  return {
    write: exports.write,
    send: exports.send,
    each: exports.each,
    batch: exports.batch,
    reserve: exports.reserve,
    publish: exports.publish,
    room: exports.room,
    block: exports.block,
    receive: exports.receive,
    peek: exports.peek,
    consume: exports.consume,
    release: exports.release,
    spin: exports.spin,
  }
}

/**
 * Bytes of a private memory in which `allocations` can be made, with what the kernel keeps for
 * itself.
 */
function kernelBytes(allocations: number): number {
  return roundUp(DEAD_END + STATE_BYTES, ALLOCATION_UNIT) + allocations
}

/** `bytes`, rounded up to a multiple of `unit`. */
export function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit
}
