// An ATA disk as the driver drives it: one command after the other, each a program of register accesses (ATA/ATAPI-6, clause 9). A read of
// 4 KiB is 17 accesses by the bus master, and over a thousand by PIO.

import { StorOutcome, type StorRequest } from '../stor-request.ts'
import { AtaCommand, AtaFeature } from '../../ide/commands.ts'
import {
  AtaDevice,
  AtaRegister,
  AtaStatus,
  ATA_SECTOR_BYTES,
  BusMasterCommand,
  BusMasterStatus,
} from '../../ide/registers.ts'
import type { StorUnit } from '../lun-scan.ts'
import { Failure, ataWorkOf, failRequest, failureOf } from './ata-translation.ts'
import type { AtaTransfer, AtaWork } from './ata-translation.ts'
import { putWord, wordAt, writeTable, type DataPages, type GuestRam } from './guest-data.ts'
import { IDENTITY_BYTES, ataIdentity, type AtaIdentity } from './identity.ts'
import type { IdePorts } from './ide-ports.ts'
import type { PortProgram } from './port-step.ts'
import { RANGES_AT, TABLE_ENTRIES_MAX, type DriverScratch } from './scratch.ts'
import { attention, dataRequest, identityPage } from './waiting.ts'
import { trimRange, trimRanges } from './trim-ranges.ts'

const SECTORS_MAX = 65536
/** Ultra DMA 2, the fastest that a PIIX4 has. */
const ULTRA_DMA_2 = 0x42
const MULTIPLE_WANTED = 16

export class AtaUnit {
  readonly #ports: IdePorts
  readonly #ram: GuestRam
  readonly #scratch: DriverScratch
  readonly #device: 0 | 1
  readonly #wantsDma: boolean
  #identity: AtaIdentity | null = null
  /** Sectors of one PIO block. */
  #blockSectors = 1

  constructor(
    ports: IdePorts,
    ram: GuestRam,
    scratch: DriverScratch,
    device: 0 | 1,
    wantsDma: boolean,
  ) {
    this.#ports = ports
    this.#ram = ram
    this.#scratch = scratch
    this.#device = device
    this.#wantsDma = wantsDma
  }

  get unit(): StorUnit | null {
    return this.#identity?.unit ?? null
  }

  /** Asks what it is, and sets it up. False: nothing that this driver drives. */
  *start(): PortProgram<boolean> {
    const ports = this.#ports
    yield ports.out(AtaRegister.DEVICE, this.#select)
    yield ports.out(AtaRegister.COMMAND, AtaCommand.IDENTIFY)
    const page = new Uint8Array(IDENTITY_BYTES)
    if (!(yield* identityPage(ports, page))) return false
    this.#identity = ataIdentity(page, ports.channel, this.#device)
    if (this.#identity === null) return false
    const { hasDma, multipleMax } = this.#identity
    if (hasDma) yield* this.#set(AtaCommand.SET_FEATURES, ULTRA_DMA_2, AtaFeature.TRANSFER_MODE)
    const multiple = Math.min(multipleMax, MULTIPLE_WANTED)
    const isSet = multiple > 1 && (yield* this.#set(AtaCommand.SET_MULTIPLE, multiple, 0))
    this.#blockSectors = isSet ? multiple : 1
    return true
  }

  /** Does what the request asks; its outcome is set when this returns. */
  *execute(request: StorRequest): PortProgram<void> {
    const work = ataWorkOf(request)
    const unit = this.unit
    if (work === null || unit === null) return failRequest(request, Failure.UNSUPPORTED)
    switch (work.is) {
      case 'nothing':
        return succeed(request, 0)
      case 'flush':
        yield* this.#command(AtaCommand.FLUSH_CACHE_EXT, 0, 0)
        return yield* this.#finish(request, 0)
      case 'trim':
      case 'zero':
        return yield* this.#trim(request, work, unit)
      case 'read':
      case 'write': {
        const { block, blockCount } = work
        if (blockCount === 0) return succeed(request, 0)
        const isWhole = blockCount * ATA_SECTOR_BYTES === request.lengthBytes
        if (!isWhole || blockCount > SECTORS_MAX) return failRequest(request, Failure.BAD_LIST)
        if (blockCount > unit.blockCount - block) return failRequest(request, Failure.OUT_OF_RANGE)
        return yield* this.#move(request, work)
      }
    }
  }

  /** A read or write within the disk. */
  *#move(request: StorRequest, { is, block, blockCount, durable }: AtaTransfer): PortProgram<void> {
    const isRead = is === 'read'
    if (this.#wantsDma && this.#hasDma && this.#table(request)) {
      const write = durable ? AtaCommand.WRITE_DMA_FUA_EXT : AtaCommand.WRITE_DMA_EXT
      const code = isRead ? AtaCommand.READ_DMA_EXT : write
      const status = yield* this.#transfer(code, block, blockCount, isRead)
      return yield* this.#ended(request, status, request.lengthBytes)
    }
    if (isRead) return yield* this.#pioIn(request, block, blockCount)
    yield* this.#pioOut(request, block, blockCount)
    if (!durable || request.outcome !== StorOutcome.OK) return
    yield* this.#command(AtaCommand.FLUSH_CACHE_EXT, 0, 0)
    return yield* this.#finish(request, request.lengthBytes)
  }

  get #hasDma(): boolean {
    return this.#identity?.hasDma ?? false
  }

  get #select(): number {
    return AtaDevice.LBA | (this.#device === 1 ? AtaDevice.DEV : 0)
  }

  #table(data: DataPages): boolean {
    return writeTable(this.#ram, this.#scratch.gpa, TABLE_ENTRIES_MAX, data)
  }

  /** The registers of a 48-bit command, and the command: ten accesses. */
  *#command(code: number, block: number, count: number): PortProgram<void> {
    const ports = this.#ports
    const high = Math.floor(block / 2 ** 24)
    const low = block % 2 ** 24
    yield ports.out(AtaRegister.DEVICE, this.#select)
    yield ports.out(AtaRegister.COUNT, (count >>> 8) & 0xff)
    yield ports.out(AtaRegister.LBA_LOW, high & 0xff)
    yield ports.out(AtaRegister.LBA_MID, (high >>> 8) & 0xff)
    yield ports.out(AtaRegister.LBA_HIGH, (high >>> 16) & 0xff)
    yield ports.out(AtaRegister.COUNT, count & 0xff)
    yield ports.out(AtaRegister.LBA_LOW, low & 0xff)
    yield ports.out(AtaRegister.LBA_MID, (low >>> 8) & 0xff)
    yield ports.out(AtaRegister.LBA_HIGH, (low >>> 16) & 0xff)
    yield ports.out(AtaRegister.COMMAND, code)
  }

  /** A command without data. False when the drive refuses it. */
  *#set(code: number, count: number, features: number): PortProgram<boolean> {
    const ports = this.#ports
    yield ports.out(AtaRegister.DEVICE, this.#select)
    yield ports.out(AtaRegister.FEATURES, features)
    yield ports.out(AtaRegister.COUNT, count)
    yield ports.out(AtaRegister.COMMAND, code)
    return ((yield* attention(ports)) & (AtaStatus.ERR | AtaStatus.DF)) === 0
  }

  *#pioIn(request: StorRequest, block: number, count: number): PortProgram<void> {
    const ports = this.#ports
    yield* this.#command(this.#multiple(true), block, count)
    let at = 0
    while (at < request.lengthBytes) {
      const status = yield* attention(ports)
      if ((status & AtaStatus.DRQ) === 0) return yield* this.#failed(request, status)
      const end = Math.min(at + this.#blockSectors * ATA_SECTOR_BYTES, request.lengthBytes)
      for (; at < end; at += 4) putWord(this.#ram, request, at, yield ports.inData(4), 4)
    }
    succeed(request, at)
  }

  *#pioOut(request: StorRequest, block: number, count: number): PortProgram<void> {
    const ports = this.#ports
    yield* this.#command(this.#multiple(false), block, count)
    let status = yield* dataRequest(ports)
    let at = 0
    while (at < request.lengthBytes) {
      if ((status & AtaStatus.DRQ) === 0) return yield* this.#failed(request, status)
      const end = Math.min(at + this.#blockSectors * ATA_SECTOR_BYTES, request.lengthBytes)
      for (; at < end; at += 4) yield ports.outData(4, wordAt(this.#ram, request, at))
      status = yield* attention(ports)
    }
    yield* this.#ended(request, status, at)
  }

  #multiple(isRead: boolean): number {
    if (this.#blockSectors > 1) {
      return isRead ? AtaCommand.READ_MULTIPLE_EXT : AtaCommand.WRITE_MULTIPLE_EXT
    }
    return isRead ? AtaCommand.READ_SECTORS_EXT : AtaCommand.WRITE_SECTORS_EXT
  }

  /** A command whose table is in the scratch page. Status at its end, with ERR for what the bus master met. */
  *#transfer(code: number, block: number, count: number, isRead: boolean): PortProgram<number> {
    const ports = this.#ports
    const direction = isRead ? BusMasterCommand.TO_MEMORY : 0
    yield ports.table(this.#scratch.gpa)
    yield ports.clearBusMaster(BusMasterStatus.ERROR | BusMasterStatus.INTERRUPT)
    yield ports.busMasterCommand(direction)
    yield* this.#command(code, block, count)
    yield ports.busMasterCommand(direction | BusMasterCommand.START)
    let busMaster = 0
    while ((busMaster & BusMasterStatus.INTERRUPT) === 0) {
      yield ports.interrupt()
      busMaster = yield ports.busMasterStatus()
    }
    yield ports.busMasterCommand(0)
    const status = yield ports.status()
    return (busMaster & BusMasterStatus.ERROR) === 0 ? status : status | AtaStatus.ERR
  }

  /** Gives up what a list names, or a run that is to read as zeros: where the drive says that it does. */
  *#trim(request: StorRequest, work: AtaWork, unit: StorUnit): PortProgram<void> {
    const { gpa, pfn } = this.#scratch
    const at = gpa + RANGES_AT
    const canZero = work.is !== 'zero' || unit.unmapReadsZeros
    if (!unit.canUnmap || !canZero || !this.#hasDma) {
      return failRequest(request, Failure.UNSUPPORTED)
    }
    let count = -1
    if (work.is !== 'zero') count = trimRanges(this.#ram, request, at, unit.blockCount)
    else if (work.blockCount <= unit.blockCount - work.block) {
      count = trimRange(this.#ram, at, work.block, work.blockCount)
    }
    if (count < 0) return failRequest(request, Failure.BAD_LIST)
    if (count === 0) return succeed(request, request.lengthBytes)
    this.#table({
      pfns: Uint32Array.of(pfn),
      offsetBytes: RANGES_AT,
      lengthBytes: ATA_SECTOR_BYTES,
    })
    yield this.#ports.out(AtaRegister.FEATURES, 1)
    const status = yield* this.#transfer(AtaCommand.DATA_SET_MANAGEMENT, 0, 1, false)
    yield* this.#ended(request, status, request.lengthBytes)
  }

  /** Waits for the end of a command without data. */
  *#finish(request: StorRequest, bytes: number): PortProgram<void> {
    yield* this.#ended(request, yield* attention(this.#ports), bytes)
  }

  *#ended(request: StorRequest, status: number, bytes: number): PortProgram<void> {
    const isBad = (status & (AtaStatus.ERR | AtaStatus.DF | AtaStatus.DRQ)) !== 0
    if (isBad) return yield* this.#failed(request, status)
    succeed(request, bytes)
  }

  *#failed(request: StorRequest, status: number): PortProgram<void> {
    const error = yield this.#ports.in(AtaRegister.FEATURES)
    failRequest(request, failureOf(status, error))
  }
}

function succeed(request: StorRequest, bytes: number): void {
  request.scsiStatus = 0
  request.senseLength = 0
  request.transferredBytes = bytes
  request.outcome = StorOutcome.OK
}
