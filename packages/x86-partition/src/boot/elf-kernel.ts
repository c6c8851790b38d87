// Kernels that are ELF files for i386 (Tool Interface Standard, Executable and Linking Format 1.2): what goes where, and where it is entered.

import { BootError } from './boot-error.ts'
import type { BootSegment } from './boot-image.ts'

/** A kernel as it lies in RAM, by physical addresses. */
export interface LoadedKernel {
  readonly segments: readonly BootSegment[]
  readonly entry: number
}

const MAGIC = 0x464c_457f
const CLASS_32 = 1
const MACHINE_386 = 3
const LOAD = 1
const HEADER_BYTES = 52
const PROGRAM_HEADER_BYTES = 32
const PROGRAM_HEADERS_MAX = 64
const RAM_MAX = 2 ** 31

/** Throws a BootError for what is no such file, or lies about its own bytes. */
export function elfKernel(file: Uint8Array): LoadedKernel {
  const view = new DataView(file.buffer, file.byteOffset, file.length)
  if (
    file.length < HEADER_BYTES ||
    view.getUint32(0, true) !== MAGIC ||
    view.getUint8(4) !== CLASS_32 ||
    view.getUint16(18, true) !== MACHINE_386
  ) {
    throw new BootError('kernel: says no addresses, and is no ELF file for i386')
  }
  const headers = view.getUint32(28, true)
  const count = view.getUint16(44, true)
  if (
    count > PROGRAM_HEADERS_MAX ||
    view.getUint16(42, true) !== PROGRAM_HEADER_BYTES ||
    headers > file.length - count * PROGRAM_HEADER_BYTES
  ) {
    throw new BootError('kernel: its ELF program headers make no sense')
  }
  const segments: BootSegment[] = []
  let entry = view.getUint32(24, true)
  const virtualEntry = entry
  for (let index = 0; index < count; index += 1) {
    const at = headers + index * PROGRAM_HEADER_BYTES
    if (view.getUint32(at, true) !== LOAD) continue
    const segment = segmentAt(file, view, at)
    // A kernel that is linked for virtual addresses says its entry as one; paging is off when it is entered.
    const offset = virtualEntry - view.getUint32(at + 8, true)
    if (offset >= 0 && offset < segment.bytes.length) entry = segment.address + offset
    segments.push(segment)
  }
  if (segments.length === 0) throw new BootError('kernel: its ELF file loads nothing')
  return { segments, entry }
}

/** Nothing larger fits any guest; asked before anything is allocated for it. Throws a BootError. */
export function checkSize(bytes: number): void {
  if (bytes > RAM_MAX) throw new BootError('kernel: larger than any RAM that it could have')
}

function segmentAt(file: Uint8Array, view: DataView, at: number): BootSegment {
  const offset = view.getUint32(at + 4, true)
  const address = view.getUint32(at + 12, true)
  const fileBytes = view.getUint32(at + 16, true)
  const memoryBytes = view.getUint32(at + 20, true)
  if (offset > file.length || fileBytes > file.length - offset || fileBytes > memoryBytes) {
    throw new BootError('kernel: an ELF segment lies outside of the file')
  }
  checkSize(memoryBytes)
  const bytes = new Uint8Array(memoryBytes)
  bytes.set(file.subarray(offset, offset + fileBytes))
  return { address, bytes }
}
