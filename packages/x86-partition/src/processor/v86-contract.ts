// What is relied on of v86, and of this version only: names, addresses in its memory, instructions in its bodies. All of it is
// asserted when a processor is made (adapt.ts), so that another version is refused with one line and never misread.

/** The version that all of this is about, as its package says it. */
export const V86_VERSION = '0.5.462+g5f9a90f'

/** Pages of 64 KiB that its module begins with. Guest RAM comes right behind: a partition is made before its processor is loaded. */
export const RAM_BASE_PAGES = 146

/** Addresses in the processor's memory. */
export const Address = {
  /** EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI: i32 each. */
  REG32: 64,
  /** Byte: EFLAGS bits 15:8, bit 1 of which is IF. */
  EFLAGS_HIGH: 121,
  /** EIP, linear, and that of the instruction being executed. */
  INSTRUCTION_POINTER: 556,
  PREVIOUS_IP: 560,
  /** CR0 to CR4, i32 each. */
  CR: 580,
  /** Byte: current privilege level. */
  CPL: 612,
  /** Byte: 1 while the processor halts. */
  IN_HLT: 616,
  /** u32: instructions executed. */
  INSTRUCTIONS: 664,
} as const

/** Register numbers, in x86's own order. */
export const Reg = { EAX: 0, ECX: 1, EDX: 2, EBX: 3, ESP: 4, EBP: 5, ESI: 6, EDI: 7 } as const

/** Offsets in the APIC's state, from `get_apic_addr()`. */
export const ApicAddress = {
  /** Eight words each, a bit for a vector. */
  IRR: 64,
  ISR: 96,
} as const

/** Where compiled blocks begin in the function table. */
export const TABLE_BLOCKS = 1024

/** "Ports" that no instruction can name: an adapted instruction asks for the hook by them. */
export const Hook = {
  CPUID: 0x10000,
  RDMSR: 0x10001,
  WRMSR: 0x10002,
  /** Told, not asked: a word was written to the APIC's interrupt command register. */
  ICR_LOW: 0x10010,
  ICR_HIGH: 0x10020,
} as const

/** Where the APIC's interrupt command register is, its lower half; the upper is 0x10 behind it. */
export const ICR_ADDRESS = 0xfee0_0300
/** Ends the name of the one function through which words are written to devices in memory, the APIC among them: (address, value). */
export const MEMORY_DEVICE_WRITE = '3cpu6memory12mmap_write32'
/** Ends the name of the one function that it calls for an interrupt to a destination. */
export const APIC_ROUTE = '3cpu4apic5route'

/** Exported bodies that a hook goes in front of. */
export const HOOKED: readonly (readonly [name: string, hook: number])[] = [
  ['instr_0FA2', Hook.CPUID],
  ['instr_0F32', Hook.RDMSR],
  ['instr_0F30', Hook.WRMSR],
]

/** Exports that are called. */
export const EXPORTS_USED = [
  'main_loop',
  'rust_init',
  'handle_irqs',
  'get_apic_addr',
  'codegen_finalize_finished',
  'allocate_memory',
  'read_tsc',
  'instr_0FA2',
  'instr_0F30',
  'instr_0F32',
] as const

/** Imports that are wrapped. */
export const IMPORTS_USED = [
  'env.io_port_read32',
  'env.io_port_read8',
  'env.io_port_read16',
  'env.io_port_write8',
  'env.io_port_write16',
  'env.io_port_write32',
  'env.run_hardware_timers',
  'env.codegen_finalize',
  'env.console_log_from_wasm',
  'env.stop_idling',
  'env.microtick',
  'env.get_rand_int',
] as const

/** Ends the name of the one function that raises #GP with an error code, outside of compiled blocks. */
export const TRIGGER_GP = '3cpu3cpu10trigger_gp'
/** The name under which it is exported. */
export const TRIGGER_GP_EXPORT = 'guestyard_trigger_gp'

/** `local.get 0; i32.const 4096; call`: where `allocate_memory` asks its allocator for RAM. The call's index follows. */
export const ALLOCATION = [0x20, 0x00, 0x41, 0x80, 0x20, 0x10] as const
/** Bytes of that call's index: a relocatable LEB128. */
export const ALLOCATION_INDEX_BYTES = 5

/**
 * How the TSC is read: `call microtick; f64.const 1e6; f64.mul; i64.trunc_sat_f64_u; i32.const 0; i64.load TSC_OFFSET; i64.sub`. In
 * `read_tsc`, which compiled blocks call, and once more where RDTSC is interpreted.
 */
export const TSC_READING: readonly number[] = [
  ...[0x10, 0x80, 0x80, 0x80, 0x80, 0x00, 0x44, 0x00, 0x00, 0x00, 0x00, 0x80, 0x84, 0x2e, 0x41],
  ...[0xa2, 0xfc, 0x07, 0x41, 0x00, 0x29, 0x03, 0xe8, 0xa3, 0x82, 0x80, 0x00, 0x7d],
]

/** Ends the name of the one function that interprets RDTSC. */
export const RDTSC = '15instructions_0f10instr_0F31'

/** How each body begins whose meaning depends on an address above. */
export const BODY_STARTS = [
  // i32.const 0; i32.load8_u CPL; br_if
  ['instr_0F32', [0x41, 0x00, 0x2d, 0x00, 0xe4, 0x04]],
  ['instr_0F30', [0x41, 0x00, 0x2d, 0x00, 0xe4, 0x04]],
  // i32.const 0; i32.load REG32; local.tee
  ['instr_0FA2', [0x41, 0x00, 0x28, 0x02, 0x40]],
  // i32.const 0; i32.load8_u IN_HLT; i32.const 1
  ['main_loop', [0x41, 0x00, 0x2d, 0x00, 0xe8, 0x04, 0x41, 0x01]],
] as const
