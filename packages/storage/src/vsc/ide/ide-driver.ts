// The driver of one IDE channel: finds its drives, and takes SCSI requests for them one after the other, as StorVSC does for its units.
// It never waits: programs of register accesses go on when an access has ended or the channel interrupts. VP's thread only.

import { assert } from '@guestyard/hvdef'

import { BUS_MASTER_BASE, AtaControl, AtaDevice, AtaRegister } from '../../ide/registers.ts'
import type { StorUnit } from '../lun-scan.ts'
import { StorOutcome, type StorRequest } from '../stor-request.ts'
import { AtaUnit } from './ata-unit.ts'
import { AtapiUnit } from './atapi-unit.ts'
import type { GuestRam } from './guest-data.ts'
import { IdePorts } from './ide-ports.ts'
import { StepKind, type GuestPorts, type PortProgram, type PortStep } from './port-step.ts'
import { driverScratch } from './scratch.ts'
import { settled } from './waiting.ts'

export interface IdeDriverOptions {
  readonly ports: GuestPorts
  readonly ram: GuestRam
  /** 0: primary, 1: secondary. */
  readonly channel: 0 | 1
  /** A page of RAM that the driver alone uses. */
  readonly scratchPfn: number
  /** Default `dma`. */
  readonly transfers?: 'dma' | 'pio'
  /** First of the controller's 16 bus master ports. */
  readonly busMasterBase?: number
  /** What drives there are, once they have been looked for. */
  readonly onUnits: (units: readonly StorUnit[]) => void
}

/** Data of one request, at most. */
const TRANSFER_MAX_BYTES: number = 256 * 1024

type Drive = AtaUnit | AtapiUnit

export class IdeDriver {
  readonly maxTransferBytes: number = TRANSFER_MAX_BYTES
  readonly #options: IdeDriverOptions
  readonly #ports: IdePorts
  /** By device. */
  readonly #drives: [Drive | null, Drive | null] = [null, null]
  #isReady = false
  #program: PortProgram<void> | null = null
  #current: StorRequest | null = null
  #first: StorRequest | null = null
  #last: StorRequest | null = null
  /** The program waits for an interrupt; one has come that nobody has waited for. */
  #waits = false
  #hasInterrupt = false
  /** Port accesses so far. */
  accesses = 0
  interrupts = 0
  readonly #goOn: (value: number) => void

  constructor(options: IdeDriverOptions) {
    this.#options = options
    this.#ports = new IdePorts(options.channel, options.busMasterBase ?? BUS_MASTER_BASE)
    this.#goOn = (value) => this.#resume(value)
  }

  /** Looks for drives; `onUnits` follows. */
  start(): void {
    assert(this.#program === null && !this.#isReady, 'A driver is started once.')
    this.#run(this.#probe())
  }

  get units(): readonly StorUnit[] {
    return this.#drives.flatMap((drive) => drive?.unit ?? [])
  }

  /** Requests may be submitted. */
  get isReady(): boolean {
    return this.#isReady
  }

  /**
   * Takes a request for one of its units; there is lane 0 only. False, and nothing happens, before `onUnits`. Its `done` is called,
   * later.
   */
  submit(request: StorRequest, lane: number): boolean {
    if (!this.#isReady || lane !== 0) return false
    request.outcome = StorOutcome.PENDING
    request.next = null
    if (this.#last === null) this.#first = request
    else this.#last.next = request
    this.#last = request
    if (this.#program === null) this.#nextRequest()
    return true
  }

  /** What was submitted is on its way already. */
  flush(_lane: number): void {}

  /** The channel's interrupt, from its handler. */
  interrupted(): void {
    this.interrupts += 1
    this.#hasInterrupt = true
    if (this.#waits) this.#resume(0)
  }

  #nextRequest(): void {
    const request = this.#first
    if (request === null) return
    this.#first = request.next
    if (this.#first === null) this.#last = null
    request.next = null
    const drive = request.target === 0 || request.target === 1 ? this.#drives[request.target] : null
    const isOurs = request.path === this.#options.channel && request.lun === 0
    this.#current = request
    this.#run(drive === null || !isOurs ? nobody(request) : drive.execute(request))
  }

  #run(program: PortProgram<void>): void {
    this.#program = program
    this.#resume(0)
  }

  #resume(value: number): void {
    this.#waits = false
    let step = this.#program!.next(value)
    while (!step.done && step.value.kind === StepKind.INTERRUPT && this.#hasInterrupt) {
      this.#hasInterrupt = false
      step = this.#program!.next(0)
    }
    if (step.done) return this.#ended()
    if (step.value.kind === StepKind.INTERRUPT) this.#waits = true
    else this.#access(step.value)
  }

  #access(step: PortStep): void {
    this.accesses += 1
    // What came before a command was written is none of its doing.
    const isCommand = step.kind === StepKind.OUT && this.#ports.isCommand(step.port)
    if (isCommand) this.#hasInterrupt = false
    this.#options.ports.access(step, this.#goOn)
  }

  #ended(): void {
    this.#program = null
    const request = this.#current
    this.#current = null
    if (request !== null) request.done(request)
    else {
      this.#isReady = true
      this.#options.onUnits(this.units)
    }
    if (this.#program === null) this.#nextRequest()
  }

  /** Which drives answer, and what they are (ATA/ATAPI-6, 9.12: signatures after a reset). */
  *#probe(): PortProgram<void> {
    const ports = this.#ports
    const isThere = [yield* this.#answers(0), yield* this.#answers(1)]
    yield ports.control(AtaControl.SRST)
    yield ports.control(0)
    // Both signatures before any command: registers are written to both drives.
    const found: [Drive | null, Drive | null] = [null, null]
    for (const device of [0, 1] as const) {
      if (!isThere[device]) continue
      yield ports.out(AtaRegister.DEVICE, device === 1 ? AtaDevice.DEV : 0)
      if (!(yield* settled(ports))) continue
      const mid = yield ports.in(AtaRegister.LBA_MID)
      const high = yield ports.in(AtaRegister.LBA_HIGH)
      found[device] = this.#driveOf(device, mid, high)
    }
    for (const device of [0, 1] as const) {
      const drive = found[device]
      if (drive !== null && (yield* drive.start())) this.#drives[device] = drive
    }
  }

  /** What is written to registers of a drive that is not there is not read back. */
  *#answers(device: 0 | 1): PortProgram<boolean> {
    const ports = this.#ports
    yield ports.out(AtaRegister.DEVICE, device === 1 ? AtaDevice.DEV : 0)
    yield ports.out(AtaRegister.COUNT, 0x55)
    yield ports.out(AtaRegister.LBA_LOW, 0xaa)
    const count = yield ports.in(AtaRegister.COUNT)
    const low = yield ports.in(AtaRegister.LBA_LOW)
    return count === 0x55 && low === 0xaa
  }

  #driveOf(device: 0 | 1, mid: number, high: number): Drive | null {
    const { ram, scratchPfn, transfers = 'dma' } = this.#options
    const scratch = driverScratch(scratchPfn)
    const wantsDma = transfers === 'dma'
    if (mid === 0 && high === 0) return new AtaUnit(this.#ports, ram, scratch, device, wantsDma)
    if (mid === 0x14 && high === 0xeb) {
      return new AtapiUnit(this.#ports, ram, scratch, device, wantsDma)
    }
    return null
  }
}

// No access is needed to say that nobody is there.
// oxlint-disable-next-line require-yield
function* nobody(request: StorRequest): PortProgram<void> {
  request.outcome = StorOutcome.NO_LOGICAL_UNIT
  request.transferredBytes = 0
}
