// Kernels of the Multiboot specification, version 0.6.96: what test kernels and small operating systems are. An image says where it goes
// by its own address fields, or is an ELF file for i386.

import { acpiTables } from './acpi-tables.ts'
import { ACPI_ADDRESS, HIGH_RAM, LOW_RAM_END } from './boot-image.ts'
import type { BootImage, BootSegment } from './boot-image.ts'
import { BootError } from './boot-error.ts'
import { bootRom } from './boot-rom.ts'
import { checkSize, elfKernel } from './elf-kernel.ts'
import type { LoadedKernel } from './elf-kernel.ts'
import { memoryMap } from './linux-boot.ts'

/** A file that is loaded beside the kernel, at the beginning of a page. */
export interface MultibootModule {
  readonly bytes: Uint8Array
  /** What the kernel is told with it: by custom its name, then its arguments. */
  readonly text: string
}

export interface MultibootBoot {
  readonly kernel: Uint8Array
  readonly commandLine: string
  readonly ramBytes: number
  /** At most 64; none when left out. */
  readonly modules?: readonly MultibootModule[]
}

const HEADER_MAGIC = 0x1bad_b002
/** The header lies, aligned to 4 bytes, in so much of the file. */
const HEADER_WITHIN = 8192
const HEADER_BYTES = 12
const ADDRESS_FIELDS_BYTES = 32
const FLAG_ADDRESSES = 0x1_0000
/** Requirements that this loader knows: page-aligned modules, memory information, a video mode (which is never set). */
const FLAGS_KNOWN = 0x7
const FLAGS_REQUIRED = 0xffff

const LOADER_MAGIC = 0x2bad_b002
const INFO = 0x1_0000
const COMMAND_LINE = 0x2_0000
const MEMORY_MAP = 0x3_0000
const MODULES = 0x3_4000
const MODULE_TEXTS = 0x4_0000
const MODULE_BYTES = 16
const MODULES_MAX = 64
/** Of all modules' texts: up to the stack, and room for that. */
const MODULE_TEXTS_MAX = 0x2_0000
const PAGE = 4096
const LOADER_NAME = 0x3_8000
const STACK = 0x8_0000
/** memory, command line, modules, memory map, loader's name. */
const INFO_FLAGS = 0x1 | 0x4 | 0x8 | 0x40 | 0x200
const COMMAND_LINE_MAX = 4095

/** True for a file with a Multiboot header. */
export function isMultiboot(file: Uint8Array): boolean {
  return headerAt(file) >= 0
}

/** Throws a BootError for a file that is no such kernel, or does not fit. */
export function multibootImage(boot: MultibootBoot): BootImage {
  const { kernel, ramBytes } = boot
  const at = headerAt(kernel)
  if (at < 0) throw new BootError('kernel: has no multiboot header in its first 8 KiB')
  const view = viewOf(kernel)
  const flags = view.getUint32(at + 4, true)
  if ((flags & FLAGS_REQUIRED & ~FLAGS_KNOWN) !== 0) {
    throw new BootError(`kernel: multiboot flags 0x${flags.toString(16)} ask for what is not known`)
  }
  const hasAddresses = (flags & FLAG_ADDRESSES) !== 0
  const { segments, entry } = hasAddresses ? byAddresses(kernel, at) : elfKernel(kernel)
  for (const { address, bytes } of segments) checkPlace(address, bytes.length, ramBytes)
  const commandLine = textBytes(boot.commandLine)
  if (commandLine.length > COMMAND_LINE_MAX) throw new BootError('command line: too long')
  const modules = placeModules(boot.modules ?? [], segments, ramBytes)
  return {
    segments: [
      ...segments,
      { address: INFO, bytes: information(ramBytes, modules.count) },
      { address: COMMAND_LINE, bytes: commandLine },
      { address: MEMORY_MAP, bytes: mapEntries(ramBytes) },
      { address: LOADER_NAME, bytes: textBytes('Guestyard') },
      { address: ACPI_ADDRESS, bytes: acpiTables(ACPI_ADDRESS).bytes },
      ...modules.segments,
    ],
    rom: bootRom({ address: entry, eax: LOADER_MAGIC, ebx: INFO, esi: 0, esp: STACK }),
  }
}

function headerAt(file: Uint8Array): number {
  const view = viewOf(file)
  const end = Math.min(file.length, HEADER_WITHIN) - HEADER_BYTES
  for (let at = 0; at <= end; at += 4) {
    if (view.getUint32(at, true) !== HEADER_MAGIC) continue
    const sum = HEADER_MAGIC + view.getUint32(at + 4, true) + view.getUint32(at + 8, true)
    if (sum % 2 ** 32 === 0) return at
  }
  return -1
}

/** header, load start, load end (0: all of the file), end of what is zeroed, entry. */
function byAddresses(file: Uint8Array, at: number): LoadedKernel {
  if (at + ADDRESS_FIELDS_BYTES > file.length) {
    throw new BootError('kernel: ends inside its multiboot header')
  }
  const view = viewOf(file)
  const [header, load, loadEnd, bssEnd, entry] = [12, 16, 20, 24, 28].map((field) =>
    view.getUint32(at + field, true),
  ) as [number, number, number, number, number]
  const from = at - (header - load)
  const length = loadEnd === 0 ? file.length - from : loadEnd - load
  if (load > header || from < 0 || length < 0 || length > file.length - from) {
    throw new BootError('kernel: its multiboot addresses lie outside of the file')
  }
  const size = Math.max(length, bssEnd - load)
  checkSize(size)
  const bytes = new Uint8Array(size)
  bytes.set(file.subarray(from, from + length))
  return { segments: [{ address: load, bytes }], entry }
}

/** The loader keeps its own parts below 1 MiB. */
function checkPlace(address: number, length: number, ramBytes: number): void {
  if (address >= HIGH_RAM && address <= ramBytes && length <= ramBytes - address) return
  const where = `0x${address.toString(16)}`
  throw new BootError(`kernel: ${length} bytes at ${where} are not in RAM from 1 MiB on`)
}

interface PlacedModules {
  readonly count: number
  readonly segments: readonly BootSegment[]
}

/** Behind the kernel, each at a page of its own; their list and their texts below 1 MiB. */
function placeModules(
  modules: readonly MultibootModule[],
  kernel: readonly BootSegment[],
  ramBytes: number,
): PlacedModules {
  if (modules.length > MODULES_MAX) {
    throw new BootError(`modules: ${modules.length}, and ${MODULES_MAX} is the most`)
  }
  const list = new Uint8Array(modules.length * MODULE_BYTES)
  const view = viewOf(list)
  const segments: BootSegment[] = [{ address: MODULES, bytes: list }]
  let free = Math.max(...kernel.map(({ address, bytes }) => address + bytes.length))
  let text = MODULE_TEXTS
  for (const [index, module] of modules.entries()) {
    const address = Math.ceil(free / PAGE) * PAGE
    free = address + module.bytes.length
    if (free > ramBytes) throw new BootError(`module ${index}: no RAM is left for it`)
    const words = textBytes(module.text)
    if (text + words.length > MODULE_TEXTS + MODULE_TEXTS_MAX) {
      throw new BootError(`module ${index}: its text is too long`)
    }
    for (const [word, value] of [address, free, text].entries()) {
      view.setUint32(index * MODULE_BYTES + word * 4, value, true)
    }
    segments.push({ address, bytes: module.bytes }, { address: text, bytes: words })
    text += words.length
  }
  return { count: modules.length, segments }
}

function information(ramBytes: number, moduleCount: number): Uint8Array {
  const bytes = new Uint8Array(88)
  const view = viewOf(bytes)
  view.setUint32(0, INFO_FLAGS, true)
  view.setUint32(4, Math.floor(LOW_RAM_END / 1024), true)
  view.setUint32(8, (ramBytes - HIGH_RAM) / 1024, true)
  view.setUint32(16, COMMAND_LINE, true)
  view.setUint32(20, moduleCount, true)
  view.setUint32(24, MODULES, true)
  view.setUint32(44, mapEntries(ramBytes).length, true)
  view.setUint32(48, MEMORY_MAP, true)
  view.setUint32(64, LOADER_NAME, true)
  return bytes
}

/** Each with its own size, less that word, in front. */
function mapEntries(ramBytes: number): Uint8Array {
  const map = memoryMap(ramBytes)
  const bytes = new Uint8Array(map.length * 24)
  const view = viewOf(bytes)
  map.forEach(({ from, end, type }, index) => {
    view.setUint32(index * 24, 20, true)
    view.setBigUint64(index * 24 + 4, BigInt(from), true)
    view.setBigUint64(index * 24 + 12, BigInt(end - from), true)
    view.setUint32(index * 24 + 20, type, true)
  })
  return bytes
}

function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}
