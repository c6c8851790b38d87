// The only code of ours that a guest runs: from the reset vector in real mode to a kernel's entry in flat protected mode, with
// registers as the kernel's boot protocol wants them.

import { u16, u32 } from './aml.ts'

const ROM_BYTES = 0x1_0000
/** Where the processor sees it. */
export const ROM_ADDRESS = 0xf_0000
const RESET_VECTOR = 0xfff0
const CODE = 0x0000
const CODE_32 = 0x0040
const GDT = 0x0100
const GDT_POINTER = 0x0140

/** Selectors of the Linux boot protocol: flat code and data. */
const CODE_SELECTOR = 0x10
const DATA_SELECTOR = 0x18
const FLAT_CODE = [0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0]
const FLAT_DATA = [0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0]
const GDT_ENTRIES = 4

export interface KernelEntry {
  readonly address: number
  readonly eax: number
  readonly ebx: number
  readonly esi: number
  readonly esp: number
}

/** A ROM whose reset vector leads to the kernel. */
export function bootRom(entry: KernelEntry): Uint8Array<ArrayBuffer> {
  const rom = new Uint8Array(ROM_BYTES)
  rom.set(realModeCode(), CODE)
  rom.set(protectedModeCode(entry), CODE_32)
  rom.set([...FLAT_CODE, ...FLAT_DATA], GDT + 2 * 8)
  rom.set([...u16(GDT_ENTRIES * 8 - 1), ...u32(ROM_ADDRESS + GDT)], GDT_POINTER)
  // jmp far F000:CODE
  rom.set([0xea, ...u16(CODE), ...u16(ROM_ADDRESS >>> 4)], RESET_VECTOR)
  return rom
}

function realModeCode(): number[] {
  return [
    ...[0xfa], //                                                 cli
    ...[0x2e, 0x66, 0x0f, 0x01, 0x16, ...u16(GDT_POINTER)], //    lgdt cs:[GDT_POINTER]
    ...[0x0f, 0x20, 0xc0], //                                     mov eax, cr0
    ...[0x66, 0x83, 0xc8, 0x01], //                               or eax, 1
    ...[0x0f, 0x22, 0xc0], //                                     mov cr0, eax
    ...[0x66, 0xea, ...u32(ROM_ADDRESS + CODE_32), ...u16(CODE_SELECTOR)], // jmp far
  ]
}

function protectedModeCode(entry: KernelEntry): number[] {
  return [
    ...[0x66, 0xb8, ...u16(DATA_SELECTOR)], // mov ax, DATA_SELECTOR
    ...[0x8e, 0xd8], //                         mov ds, ax
    ...[0x8e, 0xc0], //                         mov es, ax
    ...[0x8e, 0xd0], //                         mov ss, ax
    ...[0x8e, 0xe0], //                         mov fs, ax
    ...[0x8e, 0xe8], //                         mov gs, ax
    ...[0xb8, ...u32(entry.eax)], //            mov eax, …
    ...[0xbb, ...u32(entry.ebx)], //            mov ebx, …
    ...[0xbe, ...u32(entry.esi)], //            mov esi, …
    ...[0xbc, ...u32(entry.esp)], //            mov esp, …
    ...[0x31, 0xed, 0x31, 0xff], //             xor ebp, ebp; xor edi, edi
    ...[0xea, ...u32(entry.address), ...u16(CODE_SELECTOR)], // jmp far
  ]
}
