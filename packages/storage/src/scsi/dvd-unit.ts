// A DVD drive as SCSI knows it (MMC-6): a tray with a medium or without, which is a `Disk` that is only read, four of its blocks of 512
// bytes to each of 2,048. The host inserts and ejects; a guest may eject too, and lock the tray against itself.

import { assert } from '@guestyard/hvdef'
import type { Disk } from '../backends/disk.ts'
import { putU32, u16, u32 } from './cdb.ts'
import {
  DVD_BLOCK_BYTES,
  MediaEvent,
  asksForMediaEvents,
  composeConfiguration,
  composeDiscInformation,
  composeDvdModes,
  composeEvent,
  composeMechanismStatus,
  composeToc,
  composeTrackInformation,
} from './dvd-responses.ts'
import { MICROSOFT_DVD, VpdPage, type VpdSource, checkSerialNumber, inquire } from './inquiry.ts'
import { LogicalUnit } from './logical-unit.ts'
import { asksForSaved } from './mode-pages.ts'
import { Attention } from './nexus.ts'
import { PeripheralType, ScsiOpcode } from './opcodes.ts'
import type { ScsiRequest } from './scsi-request.ts'
import { Sense, fail } from './sense.ts'
import { respond, succeed } from './transfer.ts'

export interface DvdUnitOptions {
  /** At most 16 characters; `Virtual DVD-ROM` when left out. */
  readonly product?: string
  /** At most 64 characters. A drive without one doesn't have the page that tells it. */
  readonly serialNumber?: string
  /** 16 bytes that no other unit has. A drive without them doesn't have the page of names. */
  readonly uniqueId?: Uint8Array
}

const DISK_BLOCK_BYTES = 512
/** Blocks of the disk in a block of the medium. */
const BLOCKS_OF_DISK = DVD_BLOCK_BYTES / DISK_BLOCK_BYTES
const LOAD_EJECT = 0x02
const START = 0x01
const POWER_CONDITION = 0xf0
const POLLED = 0x01
const PREVENT = 0x01
const PREVENT_PERSISTENTLY = 0x02

/** A DVD drive. Its media are their owner's to close. */
export class DvdUnit extends LogicalUnit {
  override readonly kind = 'dvd'
  readonly #source: VpdSource
  #disk: Disk | null = null
  #blockCount = 0
  #isTrayOpen = false
  #isLocked = false
  #event: MediaEvent = MediaEvent.NONE

  /** Throws a RangeError as `insert` does, or when a serial number doesn't fit. */
  constructor(disk: Disk | null, options: DvdUnitOptions = {}) {
    super()
    const uniqueId = options.uniqueId ?? new Uint8Array(16)
    const serialNumber = checkSerialNumber(options.serialNumber ?? '')
    assert(uniqueId.length === 16, 'A drive has a name of 16 bytes.')
    this.#source = {
      identity: {
        ...MICROSOFT_DVD,
        product: options.product ?? MICROSOFT_DVD.product,
        peripheralType: PeripheralType.CD_DVD,
        removable: true,
        serialNumber,
        uniqueId,
      },
      pages: pagesFor(options),
      disk: null,
    }
    if (disk !== null) this.#take(disk)
  }

  /** The medium, in an open tray too. */
  get disk(): Disk | null {
    return this.#disk
  }

  /** A guest has opened it. */
  get isTrayOpen(): boolean {
    return this.#isTrayOpen
  }

  /** A guest asks that nobody ejects. The host may. */
  get isLocked(): boolean {
    return this.#isLocked
  }

  /** Puts a medium into the empty drive and closes the tray. Throws a RangeError when it isn't one: blocks of 512 bytes, four at least. */
  insert(disk: Disk): void {
    assert(this.#disk === null, 'A medium is put where none is.')
    this.#take(disk)
    this.#isTrayOpen = false
    this.#event = MediaEvent.NEW_MEDIA
    this.raise(Attention.MEDIUM_CHANGED)
  }

  /**
   * Takes the medium out, locked or not, and gives up what is under way with it: poll on while it `isBusyWith` the disk, before
   * that is closed. The medium; null: there is none.
   */
  eject(): Disk | null {
    const disk = this.#disk
    if (disk === null) return null
    this.#disk = null
    this.#blockCount = 0
    this.#event = MediaEvent.MEDIA_REMOVAL
    this.letGo(disk)
    return disk
  }

  override reset(attention: Attention): void {
    this.#isLocked = false
    super.reset(attention)
  }

  /** A medium doesn't change by itself. */
  protected override lookAround(): void {}

  protected override ignoresAttentions(opcode: number): boolean {
    return (
      super.ignoresAttentions(opcode) ||
      opcode === ScsiOpcode.GET_CONFIGURATION ||
      opcode === ScsiOpcode.GET_EVENT_STATUS_NOTIFICATION
    )
  }

  protected override dispatch(request: ScsiRequest): void {
    const { cdb } = request
    const bytes = this.scratch
    switch (cdb[0]!) {
      case ScsiOpcode.READ_10:
        return this.#readBlocks(request, u32(cdb, 2), u16(cdb, 7))
      case ScsiOpcode.READ_12:
        return this.#readBlocks(request, u32(cdb, 2), u32(cdb, 6))
      case ScsiOpcode.TEST_UNIT_READY:
      case ScsiOpcode.SEEK_10:
        return this.#isReady(request) ? succeed(request) : undefined
      case ScsiOpcode.INQUIRY:
        return inquire(request, this.#source, bytes)
      case ScsiOpcode.READ_CAPACITY_10:
        return this.#readCapacity(request)
      case ScsiOpcode.READ_TOC:
        if (!this.#isReady(request)) return undefined
        return answer(request, bytes, composeToc(bytes, cdb, this.#blockCount), u16(cdb, 7))
      case ScsiOpcode.READ_DISC_INFORMATION:
        if (!this.#isReady(request)) return undefined
        return answer(request, bytes, composeDiscInformation(bytes, cdb), u16(cdb, 7))
      case ScsiOpcode.READ_TRACK_INFORMATION: {
        if (!this.#isReady(request)) return undefined
        const length = composeTrackInformation(bytes, cdb, this.#blockCount)
        return answer(request, bytes, length, u16(cdb, 7))
      }
      case ScsiOpcode.GET_CONFIGURATION: {
        const length = composeConfiguration(bytes, cdb, this.#isTrayOpen ? 0 : this.#blockCount)
        return answer(request, bytes, length, u16(cdb, 7))
      }
      case ScsiOpcode.GET_EVENT_STATUS_NOTIFICATION:
        return this.#eventStatus(request)
      case ScsiOpcode.MECHANISM_STATUS: {
        const length = composeMechanismStatus(bytes, this.#isTrayOpen)
        return answer(request, bytes, length, u16(cdb, 8))
      }
      case ScsiOpcode.MODE_SENSE_6:
        return this.#modeSense(request, false, cdb[4]!)
      case ScsiOpcode.MODE_SENSE_10:
        return this.#modeSense(request, true, u16(cdb, 7))
      case ScsiOpcode.PREVENT_ALLOW_MEDIUM_REMOVAL:
        return this.#preventRemoval(request)
      case ScsiOpcode.START_STOP_UNIT:
        return this.#startStop(request)
      // Every speed is the same.
      case ScsiOpcode.SET_CD_SPEED:
        return succeed(request)
      default:
        return fail(request, Sense.INVALID_COMMAND_OPERATION_CODE)
    }
  }

  /** Ends the command, and is false, when there is nothing to read. */
  #isReady(request: ScsiRequest): boolean {
    if (this.#isTrayOpen) fail(request, Sense.MEDIUM_NOT_PRESENT_TRAY_OPEN)
    else if (this.#disk === null) fail(request, Sense.MEDIUM_NOT_PRESENT_TRAY_CLOSED)
    else return true
    return false
  }

  #readBlocks(request: ScsiRequest, block: number, blockCount: number): void {
    if (!this.#isReady(request)) return
    if (block > this.#blockCount - blockCount) return fail(request, Sense.LBA_OUT_OF_RANGE)
    this.read(request, this.#disk!, block, blockCount, DVD_BLOCK_BYTES, BLOCKS_OF_DISK)
  }

  #readCapacity(request: ScsiRequest): void {
    if (!this.#isReady(request)) return
    putU32(this.scratch, 0, this.#blockCount - 1)
    putU32(this.scratch, 4, DVD_BLOCK_BYTES)
    respond(request, this.scratch, 8, 8)
  }

  #eventStatus(request: ScsiRequest): void {
    const { cdb } = request
    // Nothing here is kept waiting until something happens.
    if ((cdb[1]! & POLLED) === 0) return fail(request, Sense.INVALID_FIELD_IN_CDB)
    const hasMedium = this.#disk !== null
    const length = composeEvent(this.scratch, cdb, this.#event, this.#isTrayOpen, hasMedium)
    if (asksForMediaEvents(cdb)) this.#event = MediaEvent.NONE
    answer(request, this.scratch, length, u16(cdb, 7))
  }

  #modeSense(request: ScsiRequest, isTen: boolean, allocationBytes: number): void {
    if (asksForSaved(request.cdb)) return fail(request, Sense.SAVING_PARAMETERS_NOT_SUPPORTED)
    const length = composeDvdModes(this.scratch, request.cdb, isTen, this.#isLocked)
    answer(request, this.scratch, length, allocationBytes)
  }

  #preventRemoval(request: ScsiRequest): void {
    const flags = request.cdb[4]!
    if ((flags & PREVENT_PERSISTENTLY) !== 0) return fail(request, Sense.INVALID_FIELD_IN_CDB)
    this.#isLocked = (flags & PREVENT) !== 0
    succeed(request)
  }

  /** Ejecting opens the tray with the medium in it; what is being read is read to its end. */
  #startStop(request: ScsiRequest): void {
    const flags = request.cdb[4]!
    if ((flags & POWER_CONDITION) !== 0 || (flags & LOAD_EJECT) === 0) return succeed(request)
    if ((flags & START) !== 0) {
      if (this.#isTrayOpen) this.#closeTray()
    } else {
      if (this.#isLocked) return fail(request, Sense.MEDIUM_REMOVAL_PREVENTED)
      if (!this.#isTrayOpen && this.#disk !== null) this.#event = MediaEvent.MEDIA_REMOVAL
      this.#isTrayOpen = true
    }
    succeed(request)
  }

  #closeTray(): void {
    this.#isTrayOpen = false
    if (this.#disk === null) return
    this.#event = MediaEvent.NEW_MEDIA
    this.raise(Attention.MEDIUM_CHANGED)
  }

  #take(disk: Disk): void {
    const { logicalBlockBytes, blockCount } = disk.geometry
    if (logicalBlockBytes !== DISK_BLOCK_BYTES || blockCount < BLOCKS_OF_DISK) {
      throw new RangeError('a medium has blocks of 512 bytes, four at least')
    }
    this.#disk = disk
    this.#blockCount = Math.floor(blockCount / BLOCKS_OF_DISK)
    this.use(disk)
  }
}

function pagesFor({ serialNumber, uniqueId }: DvdUnitOptions): readonly number[] {
  const pages: number[] = [VpdPage.SUPPORTED_PAGES]
  if (serialNumber !== undefined) pages.push(VpdPage.UNIT_SERIAL_NUMBER)
  if (uniqueId !== undefined) pages.push(VpdPage.DEVICE_IDENTIFICATION)
  return pages
}

/** Ends a command with the answer that was composed; 0 bytes: what it asks for isn't there. */
function answer(
  request: ScsiRequest,
  bytes: Uint8Array,
  lengthBytes: number,
  allocationBytes: number,
): void {
  if (lengthBytes === 0) fail(request, Sense.INVALID_FIELD_IN_CDB)
  else respond(request, bytes, lengthBytes, allocationBytes)
}
