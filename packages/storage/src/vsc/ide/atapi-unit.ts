// A DVD drive as the driver drives it: every SCSI command goes in a packet as it is (ATA/ATAPI-6, 9.8 to 9.11).

import { StorOutcome, type StorRequest } from '../stor-request.ts'
import type { StorUnit } from '../lun-scan.ts'
import { SrbDirection } from '../../protocol.ts'
import { AtaCommand } from '../../ide/commands.ts'
import {
  AtaDevice,
  AtaRegister,
  AtaStatus,
  BusMasterCommand,
  BusMasterStatus,
  InterruptReason,
} from '../../ide/registers.ts'
import { Failure, failRequest } from './ata-translation.ts'
import { putWord, wordAt, writeTable, type DataPages, type GuestRam } from './guest-data.ts'
import { IDENTITY_BYTES, text } from './identity.ts'
import type { IdePorts } from './ide-ports.ts'
import type { PortProgram } from './port-step.ts'
import { RANGES_AT, TABLE_ENTRIES_MAX, type DriverScratch } from './scratch.ts'
import { attention, dataRequest, identityPage } from './waiting.ts'

const PACKET_BYTES = 12
const PACKET_DMA = 1
/** Most bytes of a PIO block: whole words. */
const BLOCK_MAX = 0xfffe
const REQUEST_SENSE = 0x03
const READ_CAPACITY = 0x25
/** What the bus master is used for: these move as much as they say, others may move less. */
const READS: ReadonlySet<number> = new Set([0x28, 0xa8])
const SENSE_BYTES = 18
const CAPACITY_BYTES = 8
const DVD_BLOCK_BYTES = 2048
/** A new medium is announced once. */
const CAPACITY_TRIES = 3

interface PacketResult {
  /** Of the Status register at the end. */
  readonly isGood: boolean
  readonly bytes: number
}

export class AtapiUnit {
  readonly #ports: IdePorts
  readonly #ram: GuestRam
  readonly #scratch: DriverScratch
  readonly #device: 0 | 1
  readonly #wantsDma: boolean
  readonly #cdb: Uint8Array = new Uint8Array(PACKET_BYTES)
  #unit: StorUnit | null = null

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
    return this.#unit
  }

  /** Asks what it is, and how much its medium holds. */
  *start(): PortProgram<boolean> {
    const ports = this.#ports
    yield ports.out(AtaRegister.DEVICE, this.#select)
    yield ports.out(AtaRegister.COMMAND, AtaCommand.IDENTIFY_PACKET)
    const page = new Uint8Array(IDENTITY_BYTES)
    if (!(yield* identityPage(ports, page))) return false
    const answer = this.#own(CAPACITY_BYTES)
    let blockCount = 0
    for (let tries = 0; tries < CAPACITY_TRIES && blockCount === 0; tries++) {
      this.#cdb.fill(0)
      this.#cdb[0] = READ_CAPACITY
      const { isGood, bytes } = yield* this.#packet(answer, SrbDirection.READ, false)
      if (isGood && bytes === CAPACITY_BYTES) {
        blockCount = this.#ram.view.getUint32(this.#scratch.gpa + RANGES_AT) + 1
      } else if (!isGood) yield* this.#senseInto(null)
    }
    this.#unit = {
      path: ports.channel,
      target: this.#device,
      lun: 0,
      type: 5,
      removable: true,
      vendor: 'ATAPI',
      product: text(page, 27, 20),
      name: text(page, 10, 10),
      blockCount,
      mediumChanges: 0,
      blockBytes: DVD_BLOCK_BYTES,
      physicalBlockBytes: DVD_BLOCK_BYTES,
      readOnly: true,
      writeCache: false,
      canUnmap: false,
      unmapReadsZeros: false,
      maxUnmapBlocks: 0,
      maxWriteZeroesBlocks: 0,
    }
    return true
  }

  /** Does what the request asks; its outcome is set when this returns. */
  *execute(request: StorRequest): PortProgram<void> {
    if (request.cdbLength > PACKET_BYTES) return failRequest(request, Failure.UNSUPPORTED)
    this.#cdb.fill(0)
    this.#cdb.set(request.cdb.subarray(0, request.cdbLength))
    const hasData = request.direction !== SrbDirection.NONE && request.lengthBytes > 0
    const isRead = READS.has(request.cdb[0]!)
    const isDma = hasData && isRead && this.#wantsDma && this.#table(request)
    const direction = hasData ? request.direction : SrbDirection.NONE
    const { isGood, bytes } = yield* this.#packet(request, direction, isDma)
    if (!isGood) return yield* this.#senseInto(request)
    request.scsiStatus = 0
    request.senseLength = 0
    request.transferredBytes = bytes
    request.outcome = StorOutcome.OK
  }

  get #select(): number {
    return this.#device === 1 ? AtaDevice.DEV : 0
  }

  /** So many bytes of the driver's own page. */
  #own(lengthBytes: number): DataPages {
    return { pfns: Uint32Array.of(this.#scratch.pfn), offsetBytes: RANGES_AT, lengthBytes }
  }

  #table(data: DataPages): boolean {
    return writeTable(this.#ram, this.#scratch.gpa, TABLE_ENTRIES_MAX, data)
  }

  /** The packet in `#cdb`, with its data. */
  *#packet(data: DataPages, direction: SrbDirection, isDma: boolean): PortProgram<PacketResult> {
    const ports = this.#ports
    const toMemory = direction === SrbDirection.READ ? BusMasterCommand.TO_MEMORY : 0
    if (isDma) {
      yield ports.table(this.#scratch.gpa)
      yield ports.clearBusMaster(BusMasterStatus.ERROR | BusMasterStatus.INTERRUPT)
      yield ports.busMasterCommand(toMemory)
    }
    const limit = Math.min(data.lengthBytes + (data.lengthBytes & 1), BLOCK_MAX)
    yield ports.out(AtaRegister.DEVICE, this.#select)
    yield ports.out(AtaRegister.FEATURES, isDma ? PACKET_DMA : 0)
    yield ports.out(AtaRegister.LBA_MID, limit & 0xff)
    yield ports.out(AtaRegister.LBA_HIGH, limit >>> 8)
    yield ports.out(AtaRegister.COMMAND, AtaCommand.PACKET)
    const status = yield* dataRequest(ports)
    if ((status & AtaStatus.DRQ) === 0) return { isGood: false, bytes: 0 }
    for (let at = 0; at < PACKET_BYTES; at += 4) {
      const cdb = this.#cdb
      const word = cdb[at]! | (cdb[at + 1]! << 8) | (cdb[at + 2]! << 16) | (cdb[at + 3]! << 24)
      yield ports.outData(4, word >>> 0)
    }
    if (!isDma) return yield* this.#blocks(data, direction)
    yield ports.busMasterCommand(toMemory | BusMasterCommand.START)
    return yield* this.#dmaEnd(data.lengthBytes)
  }

  *#dmaEnd(bytes: number): PortProgram<PacketResult> {
    const ports = this.#ports
    const status = yield* attention(ports)
    const busMaster = yield ports.busMasterStatus()
    yield ports.busMasterCommand(0)
    const isBad = (status & (AtaStatus.ERR | AtaStatus.DF)) !== 0
    return { isGood: !isBad && (busMaster & BusMasterStatus.ERROR) === 0, bytes }
  }

  /** Blocks of data as the drive asks for them. What has no room is read and dropped; what is not there is written as zeros. */
  *#blocks(data: DataPages, direction: SrbDirection): PortProgram<PacketResult> {
    const ports = this.#ports
    let at = 0
    for (;;) {
      const status = yield* attention(ports)
      if ((status & AtaStatus.DRQ) === 0) {
        return { isGood: (status & (AtaStatus.ERR | AtaStatus.DF)) === 0, bytes: at }
      }
      const reason = yield ports.in(AtaRegister.COUNT)
      const low = yield ports.in(AtaRegister.LBA_MID)
      const bytes = low | ((yield ports.in(AtaRegister.LBA_HIGH)) << 8)
      const isIn = (reason & InterruptReason.TO_HOST) !== 0
      const isExpected = isIn === (direction === SrbDirection.READ)
      const room = isExpected ? data.lengthBytes - at : 0
      for (let done = 0; done < bytes; done += 2) {
        if (isIn) {
          const word = yield ports.inData(2)
          if (done < room) putWord(this.#ram, data, at + done, word, Math.min(2, bytes - done))
        } else {
          yield ports.outData(2, done < room ? wordAt(this.#ram, data, at + done) & 0xffff : 0)
        }
      }
      at += Math.min(bytes, room)
    }
  }

  /** Asks why, for a request or, to clear it, for nobody. */
  *#senseInto(request: StorRequest | null): PortProgram<void> {
    this.#cdb.fill(0)
    this.#cdb[0] = REQUEST_SENSE
    this.#cdb[4] = SENSE_BYTES
    const { isGood, bytes } = yield* this.#packet(this.#own(SENSE_BYTES), SrbDirection.READ, false)
    if (request === null) return
    failRequest(request, Failure.ABORTED)
    if (!isGood) return
    const from = this.#scratch.gpa + RANGES_AT
    for (let i = 0; i < bytes; i++) request.sense[i] = this.#ram.u8[from + i]!
    request.senseLength = bytes
  }
}
