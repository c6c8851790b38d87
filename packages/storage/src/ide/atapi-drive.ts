// The ATAPI drive of an IDE channel (ATA/ATAPI-6, 9.8 to 9.11): a packet of twelve bytes is a CDB for a SCSI unit, and its data goes by
// PIO, in blocks of at most what the host allows, or by the bus master. Sense is kept until REQUEST SENSE asks for it. READ of more
// than the buffer holds is cut into READs that fit; data to the unit travels before its command does.

import { DataDirection, ScsiOutcome, ScsiRequest } from '../scsi/scsi-request.ts'
import { AtaCommand, AtaFeature } from './commands.ts'
import { DRIVE_BUFFER_BYTES, DrivePhase, IdeDrive } from './drive.ts'
import { identifyPacket, type TransferMode } from './identify.ts'
import { ATA_SECTOR_BYTES, AtaError, InterruptReason } from './registers.ts'
import { setTransferMode } from './transfer-mode.ts'

/** What the drive needs of a SCSI target: `ScsiTarget` has it. Polled by the drive. */
export interface PacketTarget {
  execute(request: ScsiRequest): void
  poll(budget: number): number
  nextDeadlineMs(): number
  abort(request: ScsiRequest): void
}

const Stage = { NONE: 0, PACKET: 1, DATA_OUT: 2, COMMAND: 3, DATA_IN: 4 } as const
type Stage = (typeof Stage)[keyof typeof Stage]

const PACKET_BYTES = 12
const DVD_BLOCK_BYTES = 2048
const READ_BLOCKS_MAX: number = DRIVE_BUFFER_BYTES / DVD_BLOCK_BYTES
const PACKET_DMA = 0x01
const PACKET_OVERLAPPED = 0x02
/** The largest block of PIO that is a whole number of words. */
const BYTE_LIMIT_MAX = 0xfffe
const SENSE_KEY_ILLEGAL_REQUEST = 5
const Op = {
  REQUEST_SENSE: 0x03,
  INQUIRY: 0x12,
  MODE_SELECT_6: 0x15,
  READ_10: 0x28,
  MODE_SELECT_10: 0x55,
  READ_12: 0xa8,
} as const

export class AtapiDrive extends IdeDrive {
  readonly isPacket = true
  readonly hasWork = false
  readonly #target: PacketTarget
  readonly #device: number
  readonly #request: ScsiRequest = new ScsiRequest(1)
  readonly #mode: TransferMode = { multiword: -1, ultra: -1 }
  readonly #packet: Uint8Array = new Uint8Array(PACKET_BYTES)
  readonly #sense: Uint8Array
  #senseLength = 0
  #stage: Stage = Stage.NONE
  #isDma = false
  /** Most bytes of one PIO block. */
  #byteLimit = 0
  /** Bytes in the buffer, of which blocks are offered one after the other. */
  #filled = 0
  /** READ: the blocks that are left after the piece under way. */
  #nextBlock = 0
  #blocksLeft = 0
  /** A request was submitted and did not end at once. */
  #isPending = false

  /** `target` has the unit at path 0, target 0, LUN 0. */
  constructor(target: PacketTarget, device: number) {
    super()
    this.#target = target
    this.#device = device
    this.#sense = new Uint8Array(this.#request.sense.length)
    this.diagnosed()
  }

  poll(budget: number): number {
    const done = this.#target.poll(budget)
    if (this.phase === DrivePhase.RESETTING) this.settleReset()
    else if (this.#isPending && !this.isUnderWay) this.#ended()
    return done
  }

  nextDeadlineMs(): number {
    return this.#target.nextDeadlineMs()
  }

  protected get isUnderWay(): boolean {
    return this.#isPending && this.#request.outcome === ScsiOutcome.PENDING
  }

  protected abandon(): void {
    this.#stage = Stage.NONE
    if (this.isUnderWay) this.#target.abort(this.#request)
  }

  protected restoreDefaults(): void {
    this.#isPending = false
    this.#senseLength = 0
  }

  protected execute(code: number): void {
    switch (code) {
      case AtaCommand.PACKET:
        return this.#beginPacket()
      case AtaCommand.IDENTIFY_PACKET:
        identifyPacket(this.buffer, this.#device, this.#mode)
        this.#stage = Stage.NONE
        return this.offer(0, ATA_SECTOR_BYTES, false)
      case AtaCommand.DEVICE_RESET:
        this.beginReset()
        return this.endReset()
      case AtaCommand.SET_FEATURES:
        return this.#setFeatures()
      case AtaCommand.CHECK_POWER:
        this.file.count = 0xff
        return this.finish()
      case AtaCommand.STANDBY:
      case AtaCommand.STANDBY_IMMEDIATE:
      case AtaCommand.IDLE:
      case AtaCommand.IDLE_IMMEDIATE:
        return this.finish()
      case AtaCommand.SLEEP:
        this.isAsleep = true
        return this.finish()
      case AtaCommand.IDENTIFY:
      case AtaCommand.READ_SECTORS: {
        // So a host tells a packet device from a disk that fails.
        this.file.setSignature(true)
        return this.fail(AtaError.ABRT)
      }
      default:
        return this.fail(AtaError.ABRT)
    }
  }

  protected bufferTaken(): void {
    if (this.#stage === Stage.NONE) return this.rest()
    if (this.end < this.#filled) return this.#offerBlock(this.end)
    if (this.#blocksLeft > 0) return this.#readPiece()
    this.#complete()
  }

  protected bufferFilled(): void {
    if (this.#stage === Stage.PACKET) {
      this.#packet.set(this.buffer.subarray(0, PACKET_BYTES))
      this.#start()
    } else this.#submit(PACKET_BYTES, DataDirection.TO_DEVICE, this.end)
  }

  #beginPacket(): void {
    const { file } = this
    if ((file.features & PACKET_OVERLAPPED) !== 0) return this.fail(AtaError.ABRT)
    this.#isDma = (file.features & PACKET_DMA) !== 0
    const limit = (file.lbaHigh << 8) | file.lbaMid
    this.#byteLimit = Math.min(limit, BYTE_LIMIT_MAX)
    this.#stage = Stage.PACKET
    file.count = InterruptReason.COMMAND
    this.demand(PACKET_BYTES, false, false)
  }

  /** The packet is here: whatever the host does to it now, this copy is what is done. */
  #start(): void {
    const packet = this.#packet
    const op = packet[0]!
    this.#blocksLeft = 0
    if (op === Op.REQUEST_SENSE && this.#senseLength > 0) return this.#giveSense()
    if (op !== Op.REQUEST_SENSE && op !== Op.INQUIRY) this.#senseLength = 0
    if (op === Op.READ_10 || op === Op.READ_12) {
      this.#nextBlock = u32(packet, 2)
      this.#blocksLeft = op === Op.READ_10 ? u16(packet, 7) : u32(packet, 6)
      if (this.#blocksLeft > 0) return this.#readPiece()
    }
    const out = op === Op.MODE_SELECT_10 ? u16(packet, 7) : op === Op.MODE_SELECT_6 ? packet[4]! : 0
    if (out === 0) {
      return this.#submit(PACKET_BYTES, DataDirection.FROM_DEVICE, DRIVE_BUFFER_BYTES)
    }
    this.#takeData(out)
  }

  /** The next READ of at most what the buffer holds. */
  #readPiece(): void {
    const packet = this.#packet
    const blocks = Math.min(this.#blocksLeft, READ_BLOCKS_MAX)
    putU32(packet, 2, this.#nextBlock)
    if (packet[0] === Op.READ_10) {
      packet[7] = 0
      packet[8] = blocks
    } else putU32(packet, 6, blocks)
    // Past the end of what 32 bits say there is no block either.
    this.#nextBlock = (this.#nextBlock + blocks) >>> 0
    this.#blocksLeft -= blocks
    this.#submit(PACKET_BYTES, DataDirection.FROM_DEVICE, blocks * DVD_BLOCK_BYTES)
  }

  #takeData(bytes: number): void {
    if (!this.#isDma && this.#byteLimit < bytes) return this.#abort()
    this.#stage = Stage.DATA_OUT
    this.#setReason(0, bytes)
    this.demand(bytes, this.#isDma, !this.#isDma)
  }

  #submit(cdbLength: number, direction: DataDirection, roomBytes: number): void {
    const request = this.#request
    request.path = 0
    request.target = 0
    request.lun = 0
    request.cdb.fill(0)
    request.cdb.set(this.#packet)
    request.cdbLength = cdbLength
    request.direction = direction
    request.data.beginBytes(this.buffer)
    request.data.add(0, roomBytes)
    this.#stage = Stage.COMMAND
    this.phase = DrivePhase.WORKING
    this.#isPending = true
    this.#target.execute(request)
    if (!this.isUnderWay) this.#ended()
  }

  /** The unit has ended the command. */
  #ended(): void {
    this.#isPending = false
    const request = this.#request
    if (request.outcome !== ScsiOutcome.DONE) return this.#abort()
    if (request.scsiStatus !== 0) {
      this.#senseLength = Math.min(request.senseLength, this.#sense.length)
      this.#sense.set(request.sense)
      const key = this.#senseLength > 2 ? this.#sense[2]! & 0xf : 0
      this.#setReason(InterruptReason.COMMAND | InterruptReason.TO_HOST, 0)
      return this.fail((key << 4) | (key === SENSE_KEY_ILLEGAL_REQUEST ? AtaError.ABRT : 0))
    }
    const isIn = request.direction === DataDirection.FROM_DEVICE
    this.#give(isIn ? Math.min(request.transferredBytes, DRIVE_BUFFER_BYTES) : 0)
  }

  /** So many bytes of the buffer are for the host. */
  #give(bytes: number): void {
    this.#filled = bytes
    if (bytes === 0) return this.#complete()
    // A host that allows no byte asked for no data.
    if (!this.#isDma && this.#byteLimit < 2 && this.#byteLimit < bytes) return this.#abort()
    this.#stage = Stage.DATA_IN
    this.#offerBlock(0)
  }

  #offerBlock(from: number): void {
    const left = this.#filled - from
    // All but the last block are whole words.
    const isLast = this.#isDma || left <= this.#byteLimit
    const bytes = isLast ? left : this.#byteLimit & ~1
    this.#setReason(InterruptReason.TO_HOST, bytes)
    this.offer(from, from + bytes, this.#isDma)
  }

  #giveSense(): void {
    const bytes = Math.min(this.#packet[4]!, this.#senseLength)
    this.buffer.set(this.#sense)
    this.#senseLength = 0
    this.#give(bytes)
  }

  #complete(): void {
    this.#stage = Stage.NONE
    this.#setReason(InterruptReason.COMMAND | InterruptReason.TO_HOST, 0)
    this.finish()
  }

  #abort(): void {
    this.#stage = Stage.NONE
    this.#setReason(InterruptReason.COMMAND | InterruptReason.TO_HOST, 0)
    this.fail(AtaError.ABRT)
  }

  #setReason(reason: number, bytes: number): void {
    this.file.count = reason
    this.file.lbaMid = bytes & 0xff
    this.file.lbaHigh = (bytes >>> 8) & 0xff
  }

  #setFeatures(): void {
    const { features, count } = this.file
    const isKnown =
      features === AtaFeature.DEFAULTS_KEPT || features === AtaFeature.DEFAULTS_RESTORED
    const isDone =
      features === AtaFeature.TRANSFER_MODE ? setTransferMode(this.#mode, count) : isKnown
    if (isDone) this.finish()
    else this.fail(AtaError.ABRT)
  }
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

function u32(bytes: Uint8Array, at: number): number {
  return u16(bytes, at) * 0x1_0000 + u16(bytes, at + 2)
}

function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}
