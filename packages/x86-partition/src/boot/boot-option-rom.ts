// An option ROM that a firmware boots from: its bootstrap entry copies a kernel's real-mode part and command line into low RAM, which the firmware
// has had to itself until then, and goes on there (Plug and Play BIOS Specification 1.0A, 3.2, "Option ROM Header"; Linux,
// Documentation/x86/boot.rst, "Running the Kernel").

import { checksum } from './acpi-tables.ts'
import { ascii, u16, u32 } from './aml.ts'

const BLOCK = 512
const EXPANSION_HEADER = 0x20
const ENTRY = 0x40
const CONTENT = 0x80
/** Where the expansion header is said to be. */
const EXPANSION_POINTER = 0x1a
const RET_FAR = 0xcb
/** A kernel's entry is behind its boot sector. */
const SETUP_ENTRY_PARAGRAPHS = 0x20

export interface RealModeKernel {
  /** Boot sector and setup, at most 32 KiB. */
  readonly setup: Uint8Array
  readonly commandLine: Uint8Array
  /** The segment at whose start `setup` goes. */
  readonly segment: number
  /** Offset in it of the command line; the stack, and the setup's heap, end there. */
  readonly commandLineAt: number
}

export function bootOptionRom(kernel: RealModeKernel): Uint8Array<ArrayBuffer> {
  const { setup, commandLine } = kernel
  const commandLineFrom = CONTENT + setup.length
  const blocks = Math.ceil((commandLineFrom + commandLine.length + 1) / BLOCK)
  const rom = new Uint8Array(blocks * BLOCK)
  rom.set([0x55, 0xaa, blocks, RET_FAR])
  rom.set(u16(EXPANSION_HEADER), EXPANSION_POINTER)
  rom.set(expansionHeader(), EXPANSION_HEADER)
  rom.set(entryCode(kernel, commandLineFrom), ENTRY)
  rom.set(setup, CONTENT)
  rom.set(commandLine, commandLineFrom)
  rom[rom.length - 1] = (0x100 - checksum(rom)) & 0xff
  return rom
}

function expansionHeader(): Uint8Array {
  const bytes = Uint8Array.from([
    ...ascii('$PnP'),
    // Revision 1, 32 bytes, no further header, a checksum.
    ...[1, 2, ...u16(0), 0, 0],
    // Device, maker and product: none. Of no class, and it boots.
    ...[...u32(0), ...u16(0), ...u16(0), 0, 0, 0, 0],
    // No boot connection, no disconnection, the bootstrap entry, nothing, no resources.
    ...[...u16(0), ...u16(0), ...u16(ENTRY), ...u16(0), ...u16(0)],
  ])
  bytes[9] = (0x100 - checksum(bytes)) & 0xff
  return bytes
}

function entryCode(kernel: RealModeKernel, commandLineFrom: number): number[] {
  const { setup, commandLine, segment, commandLineAt } = kernel
  return [
    ...[0xfa, 0xfc, 0x0e, 0x1f], //            cli; cld; push cs; pop ds
    ...[0xb8, ...u16(segment), 0x8e, 0xc0], // mov ax, segment; mov es, ax
    ...copy(CONTENT, 0, setup.length),
    ...copy(commandLineFrom, commandLineAt, commandLine.length),
    ...[0x8e, 0xd8, 0x8e, 0xe0, 0x8e, 0xe8], // mov ds, ax; mov fs, ax; mov gs, ax
    ...[0x8e, 0xd0, 0xbc, ...u16(commandLineAt)], // mov ss, ax; mov sp, commandLineAt
    ...[0xea, ...u16(0), ...u16(segment + SETUP_ENTRY_PARAGRAPHS)], // jmp far
  ]
}

function copy(from: number, to: number, bytes: number): number[] {
  return [
    ...[0xbe, ...u16(from), 0xbf, ...u16(to)], // mov si, from; mov di, to
    ...[0xb9, ...u16(bytes), 0xf3, 0xa4], //      mov cx, bytes; rep movsb
  ]
}
