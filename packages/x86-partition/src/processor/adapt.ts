// v86's module as this package runs it. What is changed, and nothing else:
//
//   memory            its own, private and growing    ->  imported and shared: the partition's
//   guest RAM         wherever its allocator puts it  ->  right behind its own first pages (RAM_BASE)
//   CPUID, MSRs       its own                         ->  the hypervisor is asked first (io_port_read32 with a number that is no port)
//   RDTSC             1 GHz                           ->  the machine's rate and origin
//   ICR writes        its own                         ->  told as well (io_port_write32 with a number that is no port)
//   #GP               private                         ->  exported
//
// Everything relied on is looked for first; what is missing is one V86Mismatch that names it.

import {
  ALLOCATION,
  ALLOCATION_INDEX_BYTES,
  APIC_ROUTE,
  BODY_STARTS,
  EXPORTS_USED,
  HOOKED,
  Hook,
  ICR_ADDRESS,
  IMPORTS_USED,
  MEMORY_DEVICE_WRITE,
  RAM_BASE_PAGES,
  RDTSC,
  TRIGGER_GP,
  TRIGGER_GP_EXPORT,
  TSC_READING,
  V86_VERSION,
} from './v86-contract.ts'
import { concatBytes, f64Bytes, sleb, uleb } from './wasm-bytes.ts'
import { WasmModuleParts } from './wasm-module.ts'

/** The processor package is not the one that this code was written for. */
export class V86Mismatch extends Error {
  override readonly name = 'V86Mismatch'

  constructor(what: string) {
    super(`v86 is not the version ${V86_VERSION} that this package adapts: ${what}`)
  }
}

export interface Adaptation {
  /** RDTSC counts so many ticks a millisecond of `microtick`… */
  readonly tscPerMs: number
  /** … plus so many milliseconds. */
  readonly tscOffsetMs: number
}

export interface AdaptedModule {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Pages of 64 KiB in front of guest RAM. */
  readonly firstPages: number
}

/** Largest memory of a module, in pages: the import is declared with it, whatever the partition's is. */
const MEMORY_PAGES_MAX = 65_536

const Op = {
  UNREACHABLE: 0x00,
  NOP: 0x01,
  IF: 0x04,
  END: 0x0b,
  RETURN: 0x0f,
  CALL: 0x10,
  LOCAL_GET: 0x20,
  I32_CONST: 0x41,
  F64_CONST: 0x44,
  I32_EQ: 0x46,
  I32_SUB: 0x6b,
  I32_AND: 0x71,
  F64_ADD: 0xa0,
  F64_MUL: 0xa2,
  PREFIX: 0xfc,
} as const
const I64_TRUNC_SAT_F64_U = 7
const BLOCK_EMPTY = 0x40

/** Throws a V86Mismatch. */
export function adaptModule(bytes: Uint8Array, adaptation: Adaptation): AdaptedModule {
  const parts = partsOf(bytes)
  assertNames(parts)
  if (parts.memoryPages !== RAM_BASE_PAGES) {
    throw new V86Mismatch(`its memory begins with ${parts.memoryPages} pages`)
  }
  for (const [name, start] of BODY_STARTS) {
    if (find(parts.body(functionOf(parts, name)).code, start) < 0) {
      throw new V86Mismatch(`${name} does not read what it used to`)
    }
  }
  for (const [name, hook] of HOOKED) addHook(parts, name, hook)
  tellCommands(parts)
  placeRam(parts)
  replaceTsc(parts, adaptation)
  exportTriggerGp(parts)
  const memory = { module: 'env', name: 'memory', maximumPages: MEMORY_PAGES_MAX }
  return { bytes: parts.assemble(memory), firstPages: parts.memoryPages }
}

function partsOf(bytes: Uint8Array): WasmModuleParts {
  try {
    return new WasmModuleParts(bytes)
  } catch (error) {
    if (error instanceof RangeError) throw new V86Mismatch(error.message)
    throw error
  }
}

function assertNames(parts: WasmModuleParts): void {
  const missing = [
    ...EXPORTS_USED.filter((name) => !parts.exportedFunctions.has(name)),
    ...IMPORTS_USED.filter((name) => !parts.importedFunctions.has(name)),
  ]
  if (missing.length > 0) throw new V86Mismatch(`${missing.join(', ')} is not there`)
}

function functionOf(parts: WasmModuleParts, name: string): number {
  const index = parts.exportedFunctions.get(name)
  if (index === undefined) throw new V86Mismatch(`${name} is not there`)
  return index
}

/** In front of the body: who is asked first says with 1 that the instruction is done. */
function addHook(parts: WasmModuleParts, name: string, hook: number): void {
  const index = functionOf(parts, name)
  const { locals, code } = parts.body(index)
  const ask = parts.importedFunctions.get('env.io_port_read32')!
  const inFront = Uint8Array.from([
    ...[Op.I32_CONST, ...sleb(hook)],
    ...[Op.CALL, ...uleb(ask)],
    ...[Op.IF, BLOCK_EMPTY, Op.RETURN, Op.END],
  ])
  parts.replaceBody(index, { locals, code: concatBytes([inFront, code]) })
}

/** In front of a word's way to a device in memory: one for either half of the ICR is told first. */
function tellCommands(parts: WasmModuleParts): void {
  const index = parts.functionNamed(MEMORY_DEVICE_WRITE)
  const route = parts.functionNamed(APIC_ROUTE)
  if (index === undefined || route === undefined) {
    throw new V86Mismatch(`no function's name ends in ${MEMORY_DEVICE_WRITE}, or in ${APIC_ROUTE}`)
  }
  const { locals, code } = parts.body(index)
  if (find(code, [Op.CALL, ...relocatable(route)]) < 0) {
    throw new V86Mismatch('its APIC is not written as it used to be')
  }
  const tell = parts.importedFunctions.get('env.io_port_write32')!
  const halfOfIt = [Op.I32_CONST, ...sleb(~(Hook.ICR_HIGH - Hook.ICR_LOW)), Op.I32_AND]
  const inFront = Uint8Array.from([
    ...[Op.LOCAL_GET, 0, ...halfOfIt, Op.I32_CONST, ...sleb(ICR_ADDRESS), Op.I32_EQ],
    ...[Op.IF, BLOCK_EMPTY],
    ...[Op.LOCAL_GET, 0, Op.I32_CONST, ...sleb(ICR_ADDRESS - Hook.ICR_LOW), Op.I32_SUB],
    ...[Op.LOCAL_GET, 1, Op.CALL, ...uleb(tell), Op.END],
  ])
  parts.replaceBody(index, { locals, code: concatBytes([inFront, code]) })
}

/** An index as linkers leave it: five bytes, whatever its value. */
function relocatable(index: number): number[] {
  const bytes = [0, 7, 14, 21].map((shift) => ((index >>> shift) & 0x7f) | 0x80)
  return [...bytes, index >>> 28]
}

/** The allocator's call becomes a constant of the same length: RAM is where the partition has it. */
function placeRam(parts: WasmModuleParts): void {
  const index = functionOf(parts, 'allocate_memory')
  const { locals, code } = parts.body(index)
  const at = find(code, ALLOCATION)
  if (at < 0) throw new V86Mismatch('allocate_memory does not allocate as it used to')
  // A Buffer's `slice` would be a view of the file.
  const placed = Uint8Array.from(code)
  const constant = [Op.I32_CONST, ...sleb(parts.memoryPages * 65_536)]
  placed.fill(Op.NOP, at, at + ALLOCATION.length + ALLOCATION_INDEX_BYTES)
  placed.set(constant, at)
  parts.replaceBody(index, { locals, code: placed })
}

function replaceTsc(parts: WasmModuleParts, adaptation: Adaptation): void {
  const interpreted = parts.functionNamed(RDTSC)
  if (interpreted === undefined) throw new V86Mismatch(`no function's name ends in ${RDTSC}`)
  const microtick = parts.importedFunctions.get('env.microtick')!
  const reading = Uint8Array.from([
    ...[Op.CALL, ...uleb(microtick)],
    ...[Op.F64_CONST, ...f64Bytes(adaptation.tscOffsetMs), Op.F64_ADD],
    ...[Op.F64_CONST, ...f64Bytes(adaptation.tscPerMs), Op.F64_MUL],
    ...[Op.PREFIX, I64_TRUNC_SAT_F64_U],
  ])
  for (const index of [functionOf(parts, 'read_tsc'), interpreted]) {
    const { locals, code } = parts.body(index)
    const at = find(code, TSC_READING)
    if (at < 0) throw new V86Mismatch('its TSC is not read as it used to be')
    const rest = code.subarray(at + TSC_READING.length)
    parts.replaceBody(index, { locals, code: concatBytes([code.subarray(0, at), reading, rest]) })
  }
}

function exportTriggerGp(parts: WasmModuleParts): void {
  const index = parts.functionNamed(TRIGGER_GP)
  if (index === undefined) throw new V86Mismatch(`no function's name ends in ${TRIGGER_GP}`)
  parts.addExport(TRIGGER_GP_EXPORT, index)
}

/** Where `pattern` first occurs in `bytes`, or -1. */
function find(bytes: Uint8Array, pattern: readonly number[]): number {
  for (let at = 0; at <= bytes.length - pattern.length; at += 1) {
    if (pattern.every((byte, index) => bytes[at + index] === byte)) return at
  }
  return -1
}
