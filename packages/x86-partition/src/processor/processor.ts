// HOT (slice, hooks)
// One x86 processor: v86, adapted, running in a partition's memory. It knows nothing of hypervisors: what leaves guest code goes to
// `ProcessorExits`, and comes back as registers, ports and vectors. Whoever owns it calls `slice` over and over; nothing runs by itself.

import { wasm, type WasmMemory } from '@guestyard/guestmem'
import type { V86 } from 'v86'

import { V86Mismatch, adaptModule } from './adapt.ts'
import { shareBlockMemory } from './compiled-block.ts'
import { boardSettings, type PcBoard } from './pc-board.ts'
import type { PortDevice } from './ports.ts'
import { restoreProcessor, saveProcessor } from './saved-state.ts'
import { TimedV86, setDeviceTime } from './timed-v86.ts'
import {
  Address,
  ApicAddress,
  EXPORTS_USED,
  Hook,
  IMPORTS_USED,
  RAM_BASE_PAGES,
  TABLE_BLOCKS,
  TRIGGER_GP_EXPORT,
} from './v86-contract.ts'

/** What happens in guest code that the processor does not answer by itself. On its own thread, in the middle of an instruction. */
export interface ProcessorExits {
  /** CPUID with these registers. True: they hold the answer. */
  cpuid(): boolean
  /** RDMSR and WRMSR at CPL 0, by registers. */
  readMsr(): MsrExit
  writeMsr(): MsrExit
  /** Ports, before the processor's own devices are asked. */
  readonly ports: PortDevice
  /** A word for the interrupt command register of its APIC: the upper half (true) or the lower one, which sends. The APIC sees it next. */
  commandInterrupt(isHigh: boolean, value: number): void
  /** Between blocks of guest code, and before an idle processor looks for interrupts: raise what waits. */
  enter(): void
}

/** `own`: the processor knows better. `done`: registers are as they should be. `fault`: #GP. */
export type MsrExit = 'own' | 'done' | 'fault'

export interface ProcessorOptions {
  /** The package's own `v86.wasm`. */
  readonly wasm: Uint8Array
  /** The partition's memory: RAM begins at byte RAM_BASE_BYTES of it. */
  readonly memory: WasmMemory
  readonly ramBytes: number
  /** At the end of the first megabyte, and of all: at most 256 KiB. */
  readonly rom: Uint8Array<ArrayBuffer>
  /** Devices of its own that are plugged in; null: none. */
  readonly board: PcBoard | null
  readonly exits: ProcessorExits
  /** Ticks of the TSC in a millisecond, and milliseconds of its origin before that of `nowMs`. */
  readonly tscPerMs: number
  readonly tscOffsetMs: number
  /** Milliseconds, with fractions: the time of its TSC and its own devices. Goes forward. */
  readonly nowMs: () => number
  /** For RDRAND and RDSEED: an i32. */
  readonly random: () => number
  /** A byte that the guest sent through COM1 or COM2. */
  readonly onSerialByte: (port: SerialPort, byte: number) => void
}

/** The guest did what the processor package has no answer to, a triple fault among it: the processor is not to be used any more. */
export class ProcessorFault extends Error {
  override readonly name = 'ProcessorFault'
}

/** What a trap of WebAssembly throws: here, after the processor package has said why. */
const WasmRuntimeError = (
  globalThis as unknown as { readonly WebAssembly: { readonly RuntimeError: typeof Error } }
).WebAssembly.RuntimeError

/** COM1 and COM2. */
export type SerialPort = 0 | 1

/** Bytes of the memory in front of RAM. */
const RAM_BASE_BYTES: number = RAM_BASE_PAGES * 65_536
/** The processor package rounds to this. */
const RAM_GRANULE_BYTES = 0x2_0000
const RAM_MIN_BYTES = 1 << 20
const WORDS_MAX = 512
const VGA_BYTES = 0x4_0000
const NOT_HALTED_MS = 0

const NARROW_READS = [
  [8, 1],
  [16, 2],
] as const
const WRITES = [...NARROW_READS, [32, 4]] as const

type Callable = (...numbers: number[]) => number
type Table = { set(index: number, value: unknown): void }

interface CompiledBlock {
  readonly index: number
  readonly start: number
  readonly flags: number
  readonly entry: unknown
}

/** Its thread only. */
export class Processor {
  /** EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI. */
  readonly registers: Int32Array
  readonly #v86: TimedV86
  readonly #u8: Uint8Array
  readonly #i32: Int32Array
  readonly #mainLoop: Callable
  readonly #handleIrqs: Callable
  readonly #ownCpuid: Callable
  readonly #irr: number
  readonly #link: ModuleLink
  readonly #nowMs: () => number

  private constructor(v86: TimedV86, link: ModuleLink, options: ProcessorOptions) {
    const { buffer } = options.memory
    this.#v86 = v86
    this.#link = link
    this.#nowMs = options.nowMs
    this.#u8 = new Uint8Array(buffer, 0, RAM_BASE_BYTES)
    this.#i32 = new Int32Array(buffer, 0, RAM_BASE_BYTES / 4)
    this.registers = new Int32Array(buffer, Address.REG32, 8)
    this.#mainLoop = link.callable('main_loop')
    this.#handleIrqs = link.callable('handle_irqs')
    this.#ownCpuid = link.callable('instr_0FA2')
    const apic = link.callable('get_apic_addr')()
    if (apic <= 0 || apic % 4 !== 0 || apic > RAM_BASE_BYTES) {
      throw new V86Mismatch(`its APIC is at ${apic}`)
    }
    this.#irr = (apic + ApicAddress.IRR) >>> 2
    v86.add_listener('serial0-output-byte', (byte) => options.onSerialByte(0, byte))
    v86.add_listener('serial1-output-byte', (byte) => options.onSerialByte(1, byte))
  }

  /** Rejects with a V86Mismatch for another version of v86, and with a RangeError for RAM that it can't have. */
  static async create(options: ProcessorOptions): Promise<Processor> {
    if (options.ramBytes % RAM_GRANULE_BYTES !== 0 || options.ramBytes < RAM_MIN_BYTES) {
      throw new RangeError(
        `RAM of ${options.ramBytes} bytes is not a multiple of 128 KiB from 1 MiB on`,
      )
    }
    const link = new ModuleLink(options)
    const failed = Promise.withResolvers<never>()
    const settings = {
      wasm_fn: async (imports: unknown) => {
        try {
          return link.instantiate(imports as V86Imports)
        } catch (error) {
          failed.reject(error)
          throw error
        }
      },
      memory_size: options.ramBytes,
      vga_memory_size: VGA_BYTES,
      bios: { buffer: options.rom.slice().buffer },
      acpi: true,
      uart1: true,
      autostart: false,
      disable_speaker: true,
      disable_keyboard: true,
      disable_mouse: true,
      ...boardSettings(options.board),
    } as unknown as ConstructorParameters<typeof V86>[0]
    const v86 = new TimedV86(settings, options.nowMs, failed.reject)
    const loaded = new Promise<null>((resolve) => {
      v86.add_listener('emulator-loaded', () => resolve(null))
    })
    await Promise.race([loaded, failed.promise])
    return new Processor(v86, link, options)
  }

  /**
   * Runs guest code, for about a millisecond. How many milliseconds its own devices let it halt, less when anybody raises a
   * vector; 0: it does not halt. Throws a ProcessorFault where the guest made the processor package give up.
   */
  slice(): number {
    this.#link.installBlocks()
    setDeviceTime(this.#nowMs)
    let idleMs = 0
    try {
      idleMs = this.#mainLoop()
    } catch (error) {
      if (error instanceof WasmRuntimeError) throw new ProcessorFault(this.#link.lastWords)
      throw error
    }
    return this.isHalted ? idleMs : NOT_HALTED_MS
  }

  /** Instructions executed, modulo 2^32. */
  get instructions(): number {
    return this.#i32[Address.INSTRUCTIONS >> 2]! >>> 0
  }

  get isHalted(): boolean {
    return this.#u8[Address.IN_HLT] === 1
  }

  /** True when the guest takes interrupts: one that halts otherwise never wakes. */
  get takesInterrupts(): boolean {
    return (this.#u8[Address.EFLAGS_HIGH]! & 2) !== 0
  }

  get privilegeLevel(): number {
    return this.#u8[Address.CPL]!
  }

  get instructionPointer(): number {
    return this.#i32[Address.PREVIOUS_IP >> 2]! >>> 0
  }

  /** Requests a vector of the processor's APIC: edge-triggered. It is taken when `enter` returns, or at the next look. */
  raise(vector: number): void {
    this.#i32[this.#irr + (vector >>> 5)]! |= 1 << (vector & 31)
  }

  /** Between slices: the processor takes what was raised, and wakes if it halts. */
  takeRaised(): void {
    this.#handleIrqs()
  }

  /** CPUID as the processor itself answers it, into `registers`. In a `cpuid` exit only. */
  answerOwnCpuid(): void {
    this.#link.isPassing = true
    this.#ownCpuid()
    this.#link.isPassing = false
  }

  /** Registers and the processor package's own devices, in that package's own format; RAM is not in it. Between slices. */
  save(): Uint8Array<ArrayBuffer> {
    this.#link.installBlocks()
    return saveProcessor(this.#v86)
  }

  /** Takes over what `save` said, before the first slice. False: it is no state of this version's. */
  restore(state: Uint8Array): boolean {
    return restoreProcessor(this.#v86, state)
  }

  /** Bytes that one of the guest's serial ports receives. */
  sendSerial(port: SerialPort, bytes: Uint8Array): void {
    this.#v86.serial_send_bytes(port, bytes)
  }
}

type V86Imports = { readonly env: Record<string, unknown> }

/** The adapted module, its imports wrapped. */
class ModuleLink {
  /** The module's own code is to answer: it was called by us. */
  isPassing = false
  /** What the processor package last said of itself: it speaks only before it gives up. */
  lastWords = ''
  readonly #options: ProcessorOptions
  #exports: Record<string, unknown> = {}
  #blockImports: Record<string, unknown> = {}
  #table: Table | null = null
  #blocks: CompiledBlock[] = []
  #finished: Callable = noFunction
  #triggerGp: Callable = noFunction

  constructor(options: ProcessorOptions) {
    this.#options = options
  }

  callable(name: string): Callable {
    return this.#exports[name] as Callable
  }

  instantiate(imports: V86Imports): Record<string, unknown> {
    const { tscPerMs, tscOffsetMs, memory } = this.#options
    const adapted = adaptModule(this.#options.wasm, { tscPerMs, tscOffsetMs })
    const { env } = imports
    const missing = IMPORTS_USED.filter((name) => typeof env[name.slice(4)] !== 'function')
    if (missing.length > 0) throw new V86Mismatch(`${missing.join(', ')} is not handed in`)
    this.#wrap(env)
    const module = new wasm.Module(adapted.bytes)
    const { exports } = new wasm.Instance(module, { env: { ...env, memory } })
    this.#exports = { ...exports }
    const absent = [...EXPORTS_USED, TRIGGER_GP_EXPORT].filter(
      (name) => typeof exports[name] !== 'function',
    )
    if (absent.length > 0) throw new V86Mismatch(`${absent.join(', ')} is not exported`)
    this.#blockImports = { ...exports, m: memory }
    this.#table = env['__indirect_function_table'] as Table
    this.#finished = this.callable('codegen_finalize_finished')
    this.#triggerGp = this.callable(TRIGGER_GP_EXPORT)
    return this.#exports
  }

  /** Blocks compiled since the last call become code. Never in the middle of one. */
  installBlocks(): void {
    if (this.#blocks.length === 0) return
    const blocks = this.#blocks
    this.#blocks = []
    for (const { index, start, flags, entry } of blocks) {
      this.#table!.set(index + TABLE_BLOCKS, entry)
      this.#finished(index, start, flags)
    }
  }

  #wrap(env: Record<string, unknown>): void {
    const { exits, nowMs, random } = this.#options
    const { ports } = exits
    const timers = env['run_hardware_timers'] as Callable
    const read32 = env['io_port_read32'] as Callable
    env['io_port_read32'] = (port: number): number =>
      port < Hook.CPUID ? (ports.read(port, 4) ?? read32(port)) : this.#hook(port)
    for (const [bits, bytes] of NARROW_READS) {
      const read = env[`io_port_read${bits}`] as Callable
      env[`io_port_read${bits}`] = (port: number): number => ports.read(port, bytes) ?? read(port)
    }
    for (const [bits, bytes] of WRITES) {
      const write = env[`io_port_write${bits}`] as Callable
      env[`io_port_write${bits}`] = (port: number, value: number): void => {
        if (port >= Hook.ICR_LOW) exits.commandInterrupt(port === Hook.ICR_HIGH, value >>> 0)
        else if (!ports.write(port, value, bytes)) write(port, value)
      }
    }
    env['run_hardware_timers'] = (acpi: number, now: number): number => {
      exits.enter()
      return timers(acpi, now)
    }
    env['microtick'] = nowMs
    env['get_rand_int'] = random
    env['console_log_from_wasm'] = (at: number, length: number): void => {
      this.lastWords = textAt(this.#options.memory, at >>> 0, length >>> 0)
    }
    // Whoever owns the processor calls `slice` when there is a reason.
    env['stop_idling'] = (): void => {}
    env['codegen_finalize'] = (
      index: number,
      start: number,
      flags: number,
      at: number,
      length: number,
    ): void => this.#compile(index, start, flags, at >>> 0, length >>> 0)
  }

  #hook(hook: number): number {
    if (this.isPassing) return 0
    const { exits } = this.#options
    if (hook === Hook.CPUID) return exits.cpuid() ? 1 : 0
    const memory = new Uint8Array(this.#options.memory.buffer, Address.CPL, 1)
    // Its own code raises the fault.
    if (memory[0] !== 0) return 0
    const exit = hook === Hook.RDMSR ? exits.readMsr() : exits.writeMsr()
    if (exit === 'own') return 0
    if (exit === 'fault') this.#triggerGp(0)
    return 1
  }

  #compile(index: number, start: number, flags: number, at: number, length: number): void {
    const generated = new Uint8Array(this.#options.memory.buffer, at, length)
    const module = new wasm.Module(shareBlockMemory(generated))
    const { exports } = new wasm.Instance(module, { e: this.#blockImports })
    this.#blocks.push({ index, start, flags, entry: exports['f'] })
  }
}

/** On one line, and bounded. A copy: shared memory can't be decoded. */
function textAt(memory: WasmMemory, at: number, length: number): string {
  const bytes = Uint8Array.from(new Uint8Array(memory.buffer, at, Math.min(length, WORDS_MAX)))
  return new TextDecoder().decode(bytes).replaceAll(/\s+/g, ' ').trim()
}

function noFunction(): number {
  throw new V86Mismatch('it calls before it is loaded')
}
