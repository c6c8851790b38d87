// HOT (poll)
// A machine guest as its engine sees it: a VP's processor that is polled. Each poll is one time slice of guest code, between two looks at
// the scheduler's grant.
//
//   running ──HLT──▶ halted ──interrupt, deadline of a device──▶ running
//      └──power off, reset, panic, fault of the processor package──▶ ended

import type { GuestMemory } from '@guestyard/guestmem'
import type { Clock, VirtualProcessor } from '@guestyard/hypervisor'

import type { BootImage } from '../boot/boot-image.ts'
import { FirmwareConfig } from '../boot/firmware-config.ts'
import type { PcBoard } from '../processor/pc-board.ts'
import { PortDevices, type PortDevice } from '../processor/ports.ts'
import { Processor, ProcessorFault, type SerialPort } from '../processor/processor.ts'
import { MachineExits } from './exits.ts'
import type { MachineLog } from './machine-log.ts'
import { SAVED_MACHINE_VERSION, SavedStateError, checkSavedMachine } from './saved-machine.ts'
import type { SavedMachine } from './saved-machine.ts'
import { PlatformPorts } from './platform-ports.ts'
import type { MachineEnd } from './platform-ports.ts'
import { StartRequests } from './start-requests.ts'

export interface MachineGuestOptions {
  readonly vp: VirtualProcessor
  readonly memory: GuestMemory
  readonly clock: Clock & { update(): number }
  readonly image: BootImage
  /** The processor package's module. */
  readonly wasm: Uint8Array
  /** Time of the processor's TSC and devices, in milliseconds with fractions: `performance.now`, or an `InstructionClock`'s `tick`. */
  readonly nowMs: () => number
  readonly random: () => number
  readonly onSerialByte: (port: SerialPort, byte: number) => void
  /** Ports that the owner serves, beside the machine's own. */
  readonly ports?: PortDevice
  /** What is plugged into a machine of generation 1. */
  readonly board?: PcBoard
  /** It goes on from here instead of booting: RAM is as it was saved, and the partition's time goes on from there. */
  readonly saved?: SavedMachine
  /** False: CPUID shows no hypervisor, and synthetic MSRs are #GP. True when left out. */
  readonly hypervisorPresent?: boolean
  /** Told what whoever wrote the guest would want to know. */
  readonly log?: MachineLog
  /** Told once, from `poll`. */
  readonly onEnd: (end: MachineEnd) => void
}

const UNITS_PER_MS = 10_000
/** RAM that the processor package writes to before guest code runs: its ROM. */
const LOW_BYTES = 1 << 20
/** A system that resets its machine because it has crashed is not to be booted again. */
const CRASHED: MachineEnd = { is: 'stopped', detail: 'its kernel crashed' }
/**
 * How late a timer may be for a processor that halts, so that its thread sleeps and does not poll for the last bit of a millisecond; and for
 * one that has done nothing but answer its tick for a while, which in a stock 32-bit kernel comes 250 times a second. What rings is never late.
 */
const TIMER_SLACK_MS = 1
const IDLE_SLACK_MS = 16
const IDLE_AFTER_SLICES = 64
/** The same for one that has been idle for a second or so: its kernel counts the ticks that it missed by its clock. */
const DEEP_IDLE_SLACK_MS = 64
const DEEP_IDLE_AFTER_SLICES = 128
/** A slice with work in it makes up for so many: what comes now and then, as heartbeats do, leaves an idle processor idle. */
const BUSY_SLICE_WEIGHT = 16
/** A tick that finds nothing to do takes some thousands. */
const IDLE_INSTRUCTIONS_MAX = 20_000
/** An idle processor whose devices name no time is looked at so often. */
const IDLE_MS_MAX = 1_000

/** VP's thread only. */
export class MachineGuest {
  readonly #vp: VirtualProcessor
  readonly #clock: Clock & { update(): number }
  readonly #exits: MachineExits
  readonly #ports: PlatformPorts
  readonly #processor: Processor
  readonly #onEnd: (end: MachineEnd) => void
  readonly #nowMs: () => number
  #end: MachineEnd | null = null
  /** When the processor's own devices want to be looked at, by the clock, while it halts. */
  #wakeAtMs = 0
  /** Something was put into its devices from outside: it has to look, though it halts. */
  #isNudged = true
  #isPaused = false
  /** Slices in which next to nothing was done, less BUSY_SLICE_WEIGHT for each other one: 0..DEEP_IDLE_AFTER_SLICES. */
  #idleSlices = 0
  #instructions = 0
  slices = 0
  halts = 0

  private constructor(
    options: MachineGuestOptions,
    processor: Processor,
    exits: MachineExits,
    ports: PlatformPorts,
  ) {
    this.#vp = options.vp
    this.#clock = options.clock
    this.#onEnd = options.onEnd
    this.#nowMs = options.nowMs
    this.#processor = processor
    this.#exits = exits
    this.#ports = ports
  }

  /**
   * Loads the processor and puts the image into RAM, or takes over what was saved. Rejects as `Processor.create`, and with a
   * SavedStateError.
   */
  static async create(options: MachineGuestOptions): Promise<MachineGuest> {
    const { vp, memory, clock, image } = options
    const { firmware } = image
    const ports = new PlatformPorts(firmware === undefined ? 2 : 1)
    const devices: PortDevice[] = [ports]
    if (firmware !== undefined) devices.push(new FirmwareConfig(firmware, memory.sizeBytes))
    if (options.ports !== undefined) devices.push(options.ports)
    const exits = new MachineExits(
      vp,
      clock,
      new PortDevices(devices),
      new StartRequests(options.log ?? null),
      options.hypervisorPresent ?? true,
    )
    const { saved } = options
    // The processor's devices name times: for them, none passes while a machine is saved.
    const shiftMs = saved === undefined ? 0 : saved.deviceMs - options.nowMs()
    const nowMs = shiftMs === 0 ? options.nowMs : (): number => options.nowMs() + shiftMs
    const offsetMs = clock.update() - nowMs()
    // The processor package puts its ROM there when it is made.
    const low = saved === undefined ? null : memory.u8.slice(0, LOW_BYTES)
    const processor = await Processor.create({
      wasm: options.wasm,
      memory: memory.memory,
      ramBytes: memory.sizeBytes,
      rom: image.rom,
      exits,
      tscPerMs: tscPerMs(clock),
      tscOffsetMs: offsetMs,
      nowMs,
      random: options.random,
      onSerialByte: options.onSerialByte,
      board: options.board ?? null,
    })
    exits.processor = processor
    const machine = new MachineGuest({ ...options, nowMs }, processor, exits, ports)
    if (saved !== undefined && low !== null) {
      memory.u8.set(low)
      machine.#restore(saved)
      return machine
    }
    for (const { address, bytes } of image.segments) {
      if (!memory.write(address, bytes)) throw new RangeError(`no RAM at ${address.toString(16)}`)
    }
    return machine
  }

  /**
   * What it is beside its RAM; null while something is on its way that only the guest can take: it is to run a little, and to be
   * asked again. Between polls. Throws once it has ended.
   */
  save(): SavedMachine | null {
    if (this.#end !== null) throw new SavedStateError('the machine has ended')
    this.#exits.enter()
    const vp = this.#vp.save()
    if (vp === null) return null
    return {
      version: SAVED_MACHINE_VERSION,
      deviceMs: this.#nowMs(),
      instructions: this.#instructions,
      hasCrashed: this.#exits.hasCrashed,
      processor: this.#processor.save(),
      vp,
    }
  }

  #restore(saved: SavedMachine): void {
    checkSavedMachine(saved)
    if (!this.#vp.restore(saved.vp)) throw new SavedStateError('its registers are none of a guest')
    if (!this.#processor.restore(saved.processor)) {
      throw new SavedStateError('its processor is of another version')
    }
    this.#exits.hasCrashed = saved.hasCrashed
    this.#instructions = saved.instructions
  }

  /** Why the machine runs no more; null while it does. */
  get end(): MachineEnd | null {
    return this.#end
  }

  poll(_budget: number): number {
    if (this.#end !== null) return 0
    const vp = this.#vp
    if (this.#isPaused) return this.#stand()
    if (vp.grantedLp() < 0) return this.#wait()
    if (this.#processor.isHalted && !this.#hasReason()) {
      vp.pingPending()
      return 0
    }
    this.#isNudged = false
    this.#slice()
    vp.yieldAfterSpin()
    return 1
  }

  arm(): boolean {
    if (this.#end !== null || this.#isPaused) return false
    if (this.#vp.grantedLp() < 0) return false
    if (!this.#processor.isHalted || this.#hasReason()) return true
    this.halts += 1
    this.#vp.halt()
    return false
  }

  disarm(): void {}

  nextDeadlineMs(): number {
    if (this.#end !== null || this.#isPaused) return Number.POSITIVE_INFINITY
    if (this.#vp.grantedLp() < 0 && !this.#vp.isHalted) return Number.POSITIVE_INFINITY
    const deadlineMs = Math.min(this.#wakeAtMs, this.#vp.nextDeadline100ns / UNITS_PER_MS)
    return deadlineMs + this.#slackMs()
  }

  /** Instructions executed, modulo 2^32, to the last block that was left: for an `InstructionClock`. */
  get instructionCounter(): number {
    return this.#processor.instructions
  }

  #slackMs(): number {
    if (this.#idleSlices < IDLE_AFTER_SLICES) return TIMER_SLACK_MS
    return this.#idleSlices < DEEP_IDLE_AFTER_SLICES ? IDLE_SLACK_MS : DEEP_IDLE_SLACK_MS
  }

  /** Bytes for one of its serial ports. The engine has to be woken. */
  sendSerial(port: SerialPort, bytes: Uint8Array): void {
    this.#processor.sendSerial(port, bytes)
    this.nudge()
  }

  /** What its board waits for has come: it looks, though it halts. The engine has to be woken. */
  nudge(): void {
    this.#isNudged = true
  }

  /** It stands still until `resume`, between two slices, and keeps no processor. */
  pause(): void {
    this.#isPaused = true
    this.#stand()
  }

  /** The engine has to be woken. */
  resume(): void {
    this.#isPaused = false
    this.nudge()
  }

  /** Ends it, for a reason outside of its guest. */
  stop(detail: string): void {
    if (this.#end === null) this.#finish({ is: 'stopped', detail })
  }

  inspect(): MachineInspection {
    return {
      instructions: this.#instructions,
      slices: this.slices,
      halts: this.halts,
      interrupts: this.#exits.interrupts,
      refusedMsrs: this.#exits.refusedMsrs,
      lastRefusedMsr: this.#exits.lastRefusedMsr,
      end: this.#end,
    }
  }

  #hasReason(): boolean {
    return this.#isNudged || this.#vp.hasWork || this.#clock.nowMs >= this.#wakeAtMs
  }

  #slice(): void {
    this.slices += 1
    const before = this.#processor.instructions
    const fault = this.#run()
    const executed = (this.#processor.instructions - before) >>> 0
    this.#instructions += executed
    this.#idleSlices =
      executed < IDLE_INSTRUCTIONS_MAX
        ? Math.min(this.#idleSlices + 1, DEEP_IDLE_AFTER_SLICES)
        : Math.max(this.#idleSlices - BUSY_SLICE_WEIGHT, 0)
    let end = this.#ports.end ?? fault ?? this.#deadEnd()
    if (end === null) return
    if (end.is === 'reset' && this.#exits.hasCrashed) end = CRASHED
    this.#finish(end)
  }

  #finish(end: MachineEnd): void {
    this.#end = end
    this.#vp.halt()
    this.#onEnd(end)
  }

  /** Guest code, and until when the processor may halt; why it will never run again, or null. */
  #run(): MachineEnd | null {
    try {
      const idleMs = this.#processor.slice()
      this.#wakeAtMs = this.#clock.update() + Math.min(idleMs, IDLE_MS_MAX)
      return null
    } catch (error) {
      if (!(error instanceof ProcessorFault)) throw error
      return { is: 'stopped', detail: `a fault that the processor can't take (${error.message})` }
    }
  }

  /** HLT with interrupts off: nothing wakes it. */
  #deadEnd(): MachineEnd | null {
    const { isHalted, takesInterrupts } = this.#processor
    return isHalted && !takesInterrupts ? { is: 'stopped', detail: 'halted for good' } : null
  }

  #stand(): number {
    const vp = this.#vp
    if (vp.grantedLp() >= 0 && !vp.isHalted) vp.halt()
    vp.pingPending()
    return 0
  }

  /** Without a grant no guest code runs; a halted VP asks for it once there is a reason. */
  #wait(): number {
    this.#vp.pingPending()
    if (this.#vp.isHalted && this.#hasReason()) this.#vp.announceReady()
    return 0
  }
}

export interface MachineInspection {
  /** Executed, of all slices. */
  readonly instructions: number
  readonly slices: number
  readonly halts: number
  readonly interrupts: number
  readonly refusedMsrs: number
  readonly lastRefusedMsr: number
  readonly end: MachineEnd | null
}

/** What the hypervisor's clock makes of a millisecond: 2.56 GHz unless the clock says otherwise. */
function tscPerMs(clock: Clock): number {
  return (clock.tscHz ?? 2_560_000_000) / 1000
}
