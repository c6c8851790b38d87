// Linux by its 32-bit boot protocol (Linux, Documentation/x86/boot.rst): a bzImage, an initial RAM disk and a command line, laid out in
// RAM. Files are somebody's: every field that is used is checked first.

import { ACPI_ADDRESS, HIGH_RAM, LOW_RAM_END } from './boot-image.ts'
import type { BootImage, BootSegment } from './boot-image.ts'
import { acpiTables, vmbusTable } from './acpi-tables.ts'
import { ascii } from './aml.ts'
import { BootError } from './boot-error.ts'
import { bootOptionRom } from './boot-option-rom.ts'
import { ROM_ADDRESS, bootRom } from './boot-rom.ts'
import { elfKernel } from './elf-kernel.ts'
import type { LoadedKernel } from './elf-kernel.ts'

export interface LinuxBoot {
  /** A bzImage. */
  readonly kernel: Uint8Array
  /** The ELF file that is packed in `kernel`: entered at once, as `kernel`'s own code would when it has unpacked it. Null or left out: it unpacks itself. */
  readonly unpacked?: Uint8Array | null
  /** A cpio archive, compressed or not; empty: none. */
  readonly initrd: Uint8Array
  readonly commandLine: string
  readonly ramBytes: number
}

/** What a bzImage says of itself, checked. */
export interface LinuxKernel {
  /** The 32-bit part, from its entry on. */
  readonly code: Uint8Array
  readonly setupHeader: Uint8Array
  /** The real-mode part, which a firmware's loader runs: boot sector and setup. */
  readonly setup: Uint8Array
  /** Where `code` goes. */
  readonly loadAddress: number
  /** RAM that it needs from there on before it has found its own memory. */
  readonly initBytes: number
  /** Last byte that a RAM disk may occupy. */
  readonly initrdMax: number
  readonly commandLineMax: number
  /** Boot protocol: 0x20f is 2.15. */
  readonly protocol: number
}

/** Offsets in a bzImage and in boot_params, which are the same from SETUP_HEADER on. */
const At = {
  ACPI_RSDP: 0x70,
  E820_COUNT: 0x1e8,
  SETUP_HEADER: 0x1f1,
  SETUP_SECTORS: 0x1f1,
  BOOT_FLAG: 0x1fe,
  JUMP: 0x201,
  MAGIC: 0x202,
  VERSION: 0x206,
  LOADER: 0x210,
  LOAD_FLAGS: 0x211,
  INITRD_ADDRESS: 0x218,
  INITRD_BYTES: 0x21c,
  HEAP_END: 0x224,
  COMMAND_LINE: 0x228,
  INITRD_MAX: 0x22c,
  COMMAND_LINE_MAX: 0x238,
  INIT_BYTES: 0x260,
  E820: 0x2d0,
} as const

const HEADER_MAX = 0x280
const MAGIC = 0x5372_6448 //  "HdrS"
const BOOT_FLAG = 0xaa55
/** 2.10, of Linux 2.6.31: it says how much RAM it needs. */
const PROTOCOL_MIN = 0x20a
const LOADED_HIGH = 1
const CAN_USE_HEAP = 0x80
const LOADER_UNREGISTERED = 0xff
const SECTOR = 512
const PAGE = 4096

/** Where the loader's own parts lie, in RAM that the kernel takes over. */
const BOOT_PARAMS = 0x1_0000
const COMMAND_LINE = 0x2_0000
const STACK = 0x8_0000
/** A kernel's real-mode part, and where its heap and its stack end. */
const SETUP = 0x1_0000
const SETUP_END = 0xe000
/** At RAM's end a firmware keeps its tables, and works while it sets the machine up. */
const FIRMWARE_RAM_BYTES = 4 * 2 ** 20
const OPTION_ROM = 'genroms/linux.bin'

const E820 = { RAM: 1, RESERVED: 2, ACPI: 3 } as const
const E820_ENTRY_BYTES = 20

/** Throws a BootError that names the field. */
export function parseKernel(file: Uint8Array): LinuxKernel {
  if (file.length < HEADER_MAX) throw new BootError('kernel: too short to be a bzImage')
  const view = new DataView(file.buffer, file.byteOffset, file.length)
  if (
    view.getUint16(At.BOOT_FLAG, true) !== BOOT_FLAG ||
    view.getUint32(At.MAGIC, true) !== MAGIC
  ) {
    throw new BootError('kernel: not a bzImage (boot flag and "HdrS" are not where they belong)')
  }
  const protocol = view.getUint16(At.VERSION, true)
  if (protocol < PROTOCOL_MIN) {
    throw new BootError(`kernel: boot protocol ${protocolName(protocol)} is older than 2.10`)
  }
  if ((view.getUint8(At.LOAD_FLAGS) & LOADED_HIGH) === 0) {
    throw new BootError('kernel: a zImage, which loads below 1 MiB, is not supported')
  }
  const headerEnd = At.MAGIC + view.getUint8(At.JUMP)
  if (headerEnd < At.INIT_BYTES + 4 || headerEnd > At.E820) {
    throw new BootError(`kernel: its setup header ends at ${headerEnd}, which makes no sense`)
  }
  const sectors = view.getUint8(At.SETUP_SECTORS)
  // 0 means 4, for historical reasons.
  const codeAt = ((sectors === 0 ? 4 : sectors) + 1) * SECTOR
  if (codeAt >= file.length) {
    throw new BootError(`kernel: ends before its 32-bit part, which begins at byte ${codeAt}`)
  }
  return {
    code: file.subarray(codeAt),
    setupHeader: file.subarray(At.SETUP_HEADER, headerEnd),
    setup: file.subarray(0, codeAt),
    loadAddress: HIGH_RAM,
    initBytes: view.getUint32(At.INIT_BYTES, true),
    initrdMax: view.getUint32(At.INITRD_MAX, true),
    commandLineMax: view.getUint32(At.COMMAND_LINE_MAX, true),
    protocol,
  }
}

/** Throws a BootError for a kernel that is none, or that does not fit into RAM with what goes with it. */
export function linuxBootImage(boot: LinuxBoot): BootImage {
  const { kernel, entry, initrdAt, segments } = placed(boot, boot.ramBytes)
  const acpi = acpiTables(ACPI_ADDRESS)
  return {
    segments: [
      ...segments,
      { address: COMMAND_LINE, bytes: commandLineBytes(boot.commandLine, kernel.commandLineMax) },
      { address: BOOT_PARAMS, bytes: bootParams(boot, kernel, initrdAt, acpi.rsdpAddress) },
      { address: ACPI_ADDRESS, bytes: acpi.bytes },
    ],
    rom: bootRom({
      address: entry,
      eax: 0,
      ebx: 0,
      esi: BOOT_PARAMS,
      esp: STACK,
    }),
  }
}

/**
 * The same for a machine of generation 1: `bios`, a PC's firmware, comes first, and boots what an option ROM leads it to, the kernel's
 * real-mode part, which asks the firmware what machine this is.
 */
export function linuxFirmwareImage(boot: LinuxBoot, bios: Uint8Array<ArrayBuffer>): BootImage {
  // The firmware leads to the real-mode part, and that to the code that unpacks.
  const packed = { ...boot, unpacked: null }
  const { kernel, initrdAt, segments } = placed(packed, boot.ramBytes - FIRMWARE_RAM_BYTES)
  const rom = bootOptionRom({
    setup: realModePart(boot, kernel, initrdAt),
    commandLine: commandLineBytes(boot.commandLine, kernel.commandLineMax),
    segment: SETUP >>> 4,
    commandLineAt: SETUP_END,
  })
  return {
    segments,
    rom: bios,
    firmware: [
      { name: OPTION_ROM, bytes: rom },
      // Before any disk.
      { name: 'bootorder', bytes: Uint8Array.from([...ascii(`/rom@${OPTION_ROM}\n`), 0]) },
      // Added to the firmware's own tables.
      { name: 'acpi/vmbus.aml', bytes: vmbusTable() },
    ],
  }
}

interface Placed {
  readonly kernel: LinuxKernel
  readonly entry: number
  readonly initrdAt: number
  /** The kernel, and the initial RAM disk if there is one. */
  readonly segments: readonly BootSegment[]
}

function placed(boot: LinuxBoot, ramEnd: number): Placed {
  const kernel = parseKernel(boot.kernel)
  const { segments, entry } = loadedKernel(kernel, boot.unpacked ?? null)
  const kernelEnd = endOf(segments, kernel.initBytes)
  if (kernelEnd > ramEnd) {
    const needed = Math.ceil((kernelEnd + boot.ramBytes - ramEnd) / 2 ** 20)
    throw new BootError(`kernel: needs ${needed} MiB of RAM, there are ${mib(boot.ramBytes)}`)
  }
  const initrdAt = placeInitrd(boot, kernel, kernelEnd, ramEnd)
  const initrd = boot.initrd.length > 0 ? [{ address: initrdAt, bytes: boot.initrd }] : []
  return { kernel, entry, initrdAt, segments: [...segments, ...initrd] }
}

function loadedKernel(kernel: LinuxKernel, unpacked: Uint8Array | null): LoadedKernel {
  const { code, loadAddress } = kernel
  if (unpacked === null) {
    return { segments: [{ address: loadAddress, bytes: code }], entry: loadAddress }
  }
  const loaded = elfKernel(unpacked)
  for (const { address } of loaded.segments) {
    if (address >= HIGH_RAM) continue
    throw new BootError(`kernel: a segment at 0x${address.toString(16)} is below 1 MiB`)
  }
  return loaded
}

/** Behind the last segment, and behind what the kernel uses before it has found its own memory, which begins with the first. */
function endOf(segments: readonly BootSegment[], initBytes: number): number {
  const first = Math.min(...segments.map(({ address }) => address))
  return Math.max(
    first + initBytes,
    ...segments.map(({ address, bytes }) => address + bytes.length),
  )
}

/** As high as it may be: the kernel unpacks itself from below. */
function placeInitrd(
  boot: LinuxBoot,
  kernel: LinuxKernel,
  kernelEnd: number,
  ramEnd: number,
): number {
  const end = Math.min(ramEnd, kernel.initrdMax + 1)
  const at = Math.floor((end - boot.initrd.length) / PAGE) * PAGE
  if (at < kernelEnd) {
    throw new BootError(
      `initrd: ${mib(boot.initrd.length)} do not fit into RAM of ${mib(boot.ramBytes)} beside the kernel`,
    )
  }
  return at
}

function commandLineBytes(text: string, most: number): Uint8Array {
  const bytes = new TextEncoder().encode(text)
  if (bytes.includes(0)) throw new BootError('command line: has a NUL in it')
  if (bytes.length > most) {
    throw new BootError(`command line: ${bytes.length} bytes, and the kernel takes ${most}`)
  }
  const ended = new Uint8Array(bytes.length + 1)
  ended.set(bytes)
  return ended
}

function bootParams(
  boot: LinuxBoot,
  kernel: LinuxKernel,
  initrdAt: number,
  rsdpAddress: number,
): Uint8Array {
  const bytes = new Uint8Array(PAGE)
  const view = new DataView(bytes.buffer)
  bytes.set(kernel.setupHeader, At.SETUP_HEADER)
  view.setUint8(At.LOADER, LOADER_UNREGISTERED)
  view.setUint32(At.COMMAND_LINE, COMMAND_LINE, true)
  if (boot.initrd.length > 0) {
    view.setUint32(At.INITRD_ADDRESS, initrdAt, true)
    view.setUint32(At.INITRD_BYTES, boot.initrd.length, true)
  }
  view.setUint32(At.ACPI_RSDP, rsdpAddress, true)
  const map = memoryMap(boot.ramBytes)
  view.setUint8(At.E820_COUNT, map.length)
  map.forEach(({ from, end, type }, index) => {
    const at = At.E820 + index * E820_ENTRY_BYTES
    view.setBigUint64(at, BigInt(from), true)
    view.setBigUint64(at + 8, BigInt(end - from), true)
    view.setUint32(at + 16, type, true)
  })
  return bytes
}

/** Boot sector and setup, with what a loader fills in for them. */
function realModePart(boot: LinuxBoot, kernel: LinuxKernel, initrdAt: number): Uint8Array {
  const bytes = Uint8Array.from(kernel.setup)
  const view = new DataView(bytes.buffer)
  view.setUint8(At.LOADER, LOADER_UNREGISTERED)
  view.setUint8(At.LOAD_FLAGS, view.getUint8(At.LOAD_FLAGS) | CAN_USE_HEAP)
  view.setUint16(At.HEAP_END, SETUP_END - SECTOR, true)
  view.setUint32(At.COMMAND_LINE, SETUP + SETUP_END, true)
  view.setUint32(At.INITRD_ADDRESS, boot.initrd.length > 0 ? initrdAt : 0, true)
  view.setUint32(At.INITRD_BYTES, boot.initrd.length, true)
  return bytes
}

/** What is where in guest-physical memory, as a PC's firmware says it: addresses in bytes, `end` excluded. */
export function memoryMap(
  ramBytes: number,
): readonly { readonly from: number; readonly end: number; readonly type: number }[] {
  return [
    { from: 0, end: LOW_RAM_END, type: E820.RAM },
    { from: LOW_RAM_END, end: 0xa_0000, type: E820.RESERVED },
    { from: ACPI_ADDRESS, end: ROM_ADDRESS, type: E820.ACPI },
    { from: ROM_ADDRESS, end: HIGH_RAM, type: E820.RESERVED },
    { from: HIGH_RAM, end: ramBytes, type: E820.RAM },
  ]
}

function protocolName(protocol: number): string {
  return `${protocol >>> 8}.${protocol & 0xff}`
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
