// Guest RAM: one shared WebAssembly.Memory, seen by every thread that was handed it.
//
// A partition's RAM is the unit of isolation: whoever holds the memory can write all of it, so it
// goes to that partition's thread and to the host, and to nobody else. It is all plain memory;
// words that two threads touch go through Atomics on `i32`.

import { PAGE_SIZE, assert } from '@guestyard/hvdef'
import { type MemoryKernel, createMemoryKernel } from './memory-kernel.ts'
import { WASM_PAGE_SIZE, type WasmMemory, wasm } from './wasm.ts'

/** Largest RAM, in bytes: what a 32-bit WebAssembly memory can address. */
export const GUEST_MEMORY_MAX_BYTES: number = 65536 * WASM_PAGE_SIZE

/**
 * Copies at most this long go byte by byte: below it, making a subarray costs more than the loop.
 */
const SHORT_COPY_BYTES = 64

/** Whoever else holds the memory may grow it between a look and a growth: so often that is met. */
const EXTEND_TRIES = 8

export interface GuestMemoryOptions {
  /** Bytes of RAM, a multiple of 64 KiB. */
  readonly sizeBytes: number
  /** Bytes it may grow to, a multiple of 64 KiB; `sizeBytes` when left out. */
  readonly maximumBytes?: number
  /** Left out: none. RAM that has such rooms beside it does not grow. */
  readonly rooms?: ProcessorRooms
}

/**
 * What an emulated processor keeps for itself in the memory that holds its guest's RAM: bytes, multiples of 64 KiB. The guest's
 * thread holds the whole memory anyway; the host sees its RAM alone.
 */
export interface ProcessorRooms {
  /** In front of RAM: GPA 0 is this byte. */
  readonly belowBytes: number
  /** What the processor may add behind RAM. */
  readonly aboveBytes: number
}

/**
 * RAM of one partition. GPA 0 is byte 0 of every view here, and byte `baseBytes` of the memory. Any thread; each thread makes its own
 * with `attach`.
 *
 * Addresses a guest chose go through `contains`, `read` and `write`, which answer false where there
 * is no RAM. Everything else (`u8`, `i32`, `view`, `kernel`) takes addresses that were checked
 * before.
 */
export class GuestMemory {
  /** What `postMessage` carries to another worker, for `attach`. */
  readonly memory: WasmMemory
  /** Copies and fills inside this memory, at memcpy speed. */
  readonly kernel: MemoryKernel
  /**
   * Views of all RAM, made once; `grow` replaces them, and older ones go on to see what they saw.
   */
  u8: Uint8Array<SharedArrayBuffer>
  i32: Int32Array<SharedArrayBuffer>
  view: DataView<SharedArrayBuffer>
  /** Bytes of memory now. What a partition has been given of it, its `Slat` knows: the guest can grow it by itself. */
  sizeBytes: number
  /** Pages of 4 KiB it may grow to. Known where it was made; elsewhere what it has now. */
  readonly maximumPages: number
  /** Where RAM begins in `memory`: what whoever addresses the memory itself, and not these views, adds to a GPA. */
  readonly baseBytes: number
  /** RAM with a processor's room behind it: this many bytes for good. 0: all of the memory is RAM, and may grow. */
  readonly #fixedBytes: number

  private constructor(
    memory: WasmMemory,
    maximumBytes: number,
    baseBytes: number,
    fixedBytes: number,
  ) {
    this.memory = memory
    this.baseBytes = baseBytes
    this.#fixedBytes = fixedBytes
    this.maximumPages = maximumBytes / PAGE_SIZE
    const { u8, i32, view } = viewsOf(memory, baseBytes, fixedBytes)
    this.u8 = u8
    this.i32 = i32
    this.view = view
    this.sizeBytes = u8.length
    this.kernel = kernelAt(createMemoryKernel(memory), baseBytes)
  }

  /** New RAM, all zero. Throws a RangeError when the platform cannot reserve it. */
  static create(options: GuestMemoryOptions): GuestMemory {
    const maximumBytes = options.maximumBytes ?? options.sizeBytes
    assert(isWasmSize(options.sizeBytes), 'RAM is a positive multiple of 64 KiB, at most 4 GiB.')
    assert(
      isWasmSize(maximumBytes),
      'The largest RAM is a positive multiple of 64 KiB, at most 4 GiB.',
    )
    assert(options.sizeBytes <= maximumBytes, 'RAM is not larger than its largest size.')
    if (options.rooms !== undefined) return createBetween(options.sizeBytes, options.rooms)
    return new GuestMemory(
      new wasm.Memory({
        initial: options.sizeBytes / WASM_PAGE_SIZE,
        maximum: maximumBytes / WASM_PAGE_SIZE,
        shared: true,
      }),
      maximumBytes,
      0,
      0,
    )
  }

  /** The same RAM in this thread, from the memory another thread posted. */
  static attach(memory: WasmMemory): GuestMemory {
    return new GuestMemory(memory, memory.buffer.byteLength, 0, 0)
  }

  /**
   * RAM of `sizeBytes` that begins at byte `baseBytes` of a memory, all of which this thread holds. Throws a RangeError where the memory
   * is smaller.
   */
  static attachAt(memory: WasmMemory, baseBytes: number, sizeBytes: number): GuestMemory {
    assert(isWasmSize(sizeBytes), 'RAM is a positive multiple of 64 KiB, at most 4 GiB.')
    return new GuestMemory(memory, sizeBytes, baseBytes, sizeBytes)
  }

  get buffer(): SharedArrayBuffer {
    return this.u8.buffer
  }

  /** Whole 4 KiB pages of RAM now. */
  get pageCount(): number {
    return this.sizeBytes / PAGE_SIZE
  }

  /**
   * True when the bytes `gpa .. gpa + lengthBytes` are all RAM. Any numbers may be asked about. RAM that another thread has added
   * is found, and this thread's views renewed.
   */
  contains(gpa: number, lengthBytes: number): boolean {
    if (isWithin(gpa, lengthBytes, this.sizeBytes)) return true
    if (this.#fixedBytes !== 0) return false
    if (this.memory.buffer.byteLength === this.sizeBytes) return false
    this.refresh()
    return isWithin(gpa, lengthBytes, this.sizeBytes)
  }

  /**
   * Copies RAM at `gpa` into `to`. False, and nothing copied, when some of it is not RAM. Cold
   * path.
   */
  read(gpa: number, to: Uint8Array, toAt = 0, lengthBytes: number = to.length - toAt): boolean {
    if (!this.contains(gpa, lengthBytes)) return false
    copyBytes(to, toAt, this.u8, gpa, lengthBytes)
    return true
  }

  /**
   * Copies `from` into RAM at `gpa`. False, and nothing copied, when some of it is not RAM. Cold
   * path.
   */
  write(
    gpa: number,
    from: Uint8Array,
    fromAt = 0,
    lengthBytes: number = from.length - fromAt,
  ): boolean {
    if (!this.contains(gpa, lengthBytes)) return false
    copyBytes(this.u8, gpa, from, fromAt, lengthBytes)
    return true
  }

  /** Fills RAM with a byte. False, and nothing filled, when some of it is not RAM. */
  fill(gpa: number, byte: number, lengthBytes: number): boolean {
    if (!this.contains(gpa, lengthBytes)) return false
    this.kernel.fill(gpa, byte, lengthBytes)
    return true
  }

  /**
   * Adds RAM at the end and renews the views of this thread. False when the maximum or the platform
   * forbids it. Other threads see the new RAM after `refresh`. Bytes never move: addresses and
   * views handed out earlier stay good.
   */
  grow(deltaBytes: number): boolean {
    assert(deltaBytes % WASM_PAGE_SIZE === 0, 'RAM grows by a multiple of 64 KiB.')
    if (this.#fixedBytes !== 0) return deltaBytes === 0
    try {
      this.memory.grow(deltaBytes / WASM_PAGE_SIZE)
    } catch {
      return false
    }
    this.refresh()
    return true
  }

  /**
   * Has RAM up to `toBytes` be there, and zero from `fromBytes` on; both multiples of 64 KiB. Another thread may have grown the memory
   * as far and further: that is no obstacle. False when the maximum or the platform forbids it.
   */
  extend(fromBytes: number, toBytes: number): boolean {
    this.refresh()
    const dirtyBytes = Math.min(this.sizeBytes, toBytes) - fromBytes
    for (let tries = 0; this.sizeBytes < toBytes; tries++) {
      if (tries === EXTEND_TRIES) return false
      if (!this.grow(toBytes - this.sizeBytes)) this.refresh()
    }
    if (dirtyBytes > 0) this.kernel.fill(fromBytes, 0, dirtyBytes)
    return true
  }

  /** Renews this thread's views after another thread grew the memory. RAM between a processor's rooms stays as it is. */
  refresh(): void {
    if (this.#fixedBytes !== 0) return
    const { u8, i32, view } = viewsOf(this.memory, this.baseBytes, 0)
    this.u8 = u8
    this.i32 = i32
    this.view = view
    this.sizeBytes = u8.length
  }
}

function createBetween(sizeBytes: number, rooms: ProcessorRooms): GuestMemory {
  const { belowBytes, aboveBytes } = rooms
  const initial = (belowBytes + sizeBytes) / WASM_PAGE_SIZE
  const maximum = initial + aboveBytes / WASM_PAGE_SIZE
  assert(Number.isInteger(initial) && Number.isInteger(maximum), 'Rooms are whole 64 KiB.')
  // What does not fit a memory at all is refused as what the platform cannot reserve is.
  const memory = new wasm.Memory({ initial, maximum, shared: true })
  return GuestMemory.attachAt(memory, belowBytes, sizeBytes)
}

interface Views {
  readonly u8: Uint8Array<SharedArrayBuffer>
  readonly i32: Int32Array<SharedArrayBuffer>
  readonly view: DataView<SharedArrayBuffer>
}

function viewsOf(memory: WasmMemory, baseBytes: number, fixedBytes: number): Views {
  const buffer = sharedBufferOf(memory)
  const bytes = fixedBytes === 0 ? buffer.byteLength - baseBytes : fixedBytes
  return {
    u8: new Uint8Array(buffer, baseBytes, bytes),
    i32: new Int32Array(buffer, baseBytes, Math.floor(bytes / 4)),
    view: new DataView(buffer, baseBytes, bytes),
  }
}

/** The kernel of the whole memory, by GPA. Where RAM begins at its first byte that is the kernel itself. */
function kernelAt(kernel: MemoryKernel, baseBytes: number): MemoryKernel {
  if (baseBytes === 0) return kernel
  return {
    copy: (to, from, lengthBytes) => kernel.copy(baseBytes + to, baseBytes + from, lengthBytes),
    fill: (at, byte, lengthBytes) => kernel.fill(baseBytes + at, byte, lengthBytes),
  }
}

function isWithin(gpa: number, lengthBytes: number, sizeBytes: number): boolean {
  return gpa >= 0 && gpa <= sizeBytes && lengthBytes >= 0 && lengthBytes <= sizeBytes - gpa
}

function isWasmSize(bytes: number): boolean {
  return bytes > 0 && bytes % WASM_PAGE_SIZE === 0 && bytes <= GUEST_MEMORY_MAX_BYTES
}

function sharedBufferOf(memory: WasmMemory): SharedArrayBuffer {
  const buffer = memory.buffer
  assert(buffer instanceof SharedArrayBuffer, 'Guest RAM is a shared memory.')
  return buffer
}

function copyBytes(
  to: Uint8Array,
  toAt: number,
  from: Uint8Array,
  fromAt: number,
  length: number,
): void {
  assert(toAt >= 0 && length <= to.length - toAt, 'The copy ends inside its destination.')
  assert(fromAt >= 0 && length <= from.length - fromAt, 'The copy ends inside its source.')
  if (length > SHORT_COPY_BYTES) {
    to.set(from.subarray(fromAt, fromAt + length), toAt)
    return
  }
  for (let index = 0; index < length; index += 1) to[toAt + index] = from[fromAt + index]!
}
