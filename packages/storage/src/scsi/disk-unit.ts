// HOT
// A disk as SCSI knows it (SBC-3): commands over one `Disk`. What a command asks is in its CDB, checked here; the bytes move between
// the disk and the initiator's own pieces.

import { assert } from '@guestyard/hvdef'
import { DiskOperation, type Disk, type DiskGeometry } from '../backends/disk.ts'
import { putU32, putU64, u16, u24, u32, u64 } from './cdb.ts'
import {
  type BlockLimits,
  MICROSOFT_DISK,
  VpdPage,
  type VpdSource,
  checkSerialNumber,
  inquire,
} from './inquiry.ts'
import { LogicalUnit } from './logical-unit.ts'
import { ModeSelection, asksForSaved, composeDiskModes, parseDiskModes } from './mode-pages.ts'
import { Attention, type Nexus } from './nexus.ts'
import { PeripheralType, READ_CAPACITY_16_ACTION, ScsiOpcode, ScsiStatus } from './opcodes.ts'
import { reserveIn, reserveOut } from './persistent-reserve.ts'
import { JobPool, limitsFor, takeUnmapList } from './provisioning.ts'
import { type Notice, PersistentReservations } from './reservations.ts'
import type { ScsiRequest } from './scsi-request.ts'
import { Sense, conflict, endWith, fail } from './sense.ts'
import { respond, succeed, takeParameters } from './transfer.ts'

export interface DiskUnitOptions {
  /** At most 8 characters of ASCII; `Msft` when left out. */
  readonly vendor?: string
  /** At most 16 characters; `Virtual Disk` when left out. */
  readonly product?: string
  /** At most 4 characters; `1.0` when left out. */
  readonly revision?: string
  /** At most 64 characters; the disk's unique id in hexadecimal when left out. */
  readonly serialNumber?: string
  /** Writes may wait for a flush (the default). An initiator can change it. */
  readonly writeCache?: boolean
}

/** Protection information, which no disk here has: bits of byte 1. */
const PROTECT = 0xe0
const FUA = 0x08
const BYTE_CHECK = 0x06
const ANCHOR = 0x10
const WRITE_SAME_UNMAP = 0x08
const NO_DATA_OUT = 0x01
const UNMAP_ANCHOR = 0x01
const SERVICE_ACTION = 0x1f
const SAVE_PAGES = 0x01
const PAGE_FORMAT = 0x10
const LOAD_EJECT = 0x02
const START = 0x01
const NO_FLUSH = 0x04
const POWER_CONDITION = 0xf0
const LBPME = 0x80
const LBPRZ = 0x40
const READ_CAPACITY_16_BYTES = 32

const NOTICE_ATTENTION = {
  'reservations-preempted': Attention.RESERVATIONS_PREEMPTED,
  'reservations-released': Attention.RESERVATIONS_RELEASED,
  'registrations-preempted': Attention.REGISTRATIONS_PREEMPTED,
} as const satisfies Record<Notice, Attention>

/** A disk, for one target or for several that share it. The disk is its owner's to close. */
export class DiskUnit extends LogicalUnit {
  override readonly kind = 'disk'
  readonly #disk: Disk
  readonly #blockBytes: number
  readonly #limits: BlockLimits
  readonly #source: VpdSource
  readonly #defaultWriteCache: boolean
  readonly #jobs = new JobPool()
  readonly #selection = new ModeSelection()
  readonly #reservations: PersistentReservations
  /** The old way to reserve (SPC-2): RESERVE and RELEASE. */
  #reservedBy: Nexus | null = null
  #writeCache: boolean
  /** As initiators know it. */
  #blockCount: number

  /** Throws a RangeError when the disk has no blocks, or a serial number doesn't fit. */
  constructor(disk: Disk, options: DiskUnitOptions = {}) {
    super()
    const { geometry } = disk
    if (geometry.blockCount < 1) throw new RangeError('a disk without blocks is no SCSI disk')
    assert(geometry.uniqueId.length === 16, 'A disk has a name of 16 bytes.')
    this.#disk = disk
    this.#blockBytes = geometry.logicalBlockBytes
    this.#blockCount = geometry.blockCount
    this.#limits = limitsFor(geometry.logicalBlockBytes)
    this.#source = {
      identity: {
        peripheralType: PeripheralType.DISK,
        removable: false,
        vendor: options.vendor ?? MICROSOFT_DISK.vendor,
        product: options.product ?? MICROSOFT_DISK.product,
        revision: options.revision ?? MICROSOFT_DISK.revision,
        serialNumber: checkSerialNumber(options.serialNumber ?? hexadecimal(geometry.uniqueId)),
        uniqueId: geometry.uniqueId,
      },
      pages: Object.values(VpdPage),
      disk: { geometry, limits: this.#limits },
    }
    this.#defaultWriteCache = options.writeCache ?? true
    this.#writeCache = this.#defaultWriteCache
    this.#reservations = new PersistentReservations((initiator, notice) =>
      this.raiseFor(initiator, NOTICE_ATTENTION[notice]),
    )
    this.use(disk)
  }

  get disk(): Disk {
    return this.#disk
  }

  /** False: every write is durable when it is done. */
  get writeCache(): boolean {
    return this.#writeCache
  }

  override leave(nexus: Nexus): void {
    if (this.#reservedBy === nexus) this.#reservedBy = null
    super.leave(nexus)
  }

  /** Persistent reservations outlive it; reservations of the old kind and changed mode parameters don't. */
  override reset(attention: Attention): void {
    this.#reservedBy = null
    this.#writeCache = this.#defaultWriteCache
    super.reset(attention)
  }

  protected override lookAround(): void {
    const { blockCount } = this.#disk.geometry
    if (blockCount === this.#blockCount) return
    this.#blockCount = blockCount
    this.raise(Attention.CAPACITY_CHANGED)
  }

  protected override dispatch(request: ScsiRequest, nexus: Nexus): void {
    const { cdb } = request
    const opcode = cdb[0]!
    if (this.#refuses(opcode, nexus)) return conflict(request)
    switch (opcode) {
      case ScsiOpcode.READ_10:
        return this.#readBlocks(request, cdb[1]!, u32(cdb, 2), u16(cdb, 7))
      case ScsiOpcode.WRITE_10:
        return this.#writeBlocks(request, cdb[1]!, u32(cdb, 2), u16(cdb, 7))
      case ScsiOpcode.READ_16:
        return this.#readBlocks(request, cdb[1]!, u64(cdb, 2), u32(cdb, 10))
      case ScsiOpcode.WRITE_16:
        return this.#writeBlocks(request, cdb[1]!, u64(cdb, 2), u32(cdb, 10))
      case ScsiOpcode.READ_12:
        return this.#readBlocks(request, cdb[1]!, u32(cdb, 2), u32(cdb, 6))
      case ScsiOpcode.WRITE_12:
        return this.#writeBlocks(request, cdb[1]!, u32(cdb, 2), u32(cdb, 6))
      case ScsiOpcode.READ_6:
        return this.#readBlocks(request, 0, u24(cdb, 1) & 0x1f_ffff, cdb[4]! || 256)
      case ScsiOpcode.WRITE_6:
        return this.#writeBlocks(request, 0, u24(cdb, 1) & 0x1f_ffff, cdb[4]! || 256)
      case ScsiOpcode.SYNCHRONIZE_CACHE_10:
      case ScsiOpcode.SYNCHRONIZE_CACHE_16:
        return this.flush(request, this.#disk)
      default:
        return this.#dispatchRare(request, opcode, nexus)
    }
  }

  #dispatchRare(request: ScsiRequest, opcode: number, nexus: Nexus): void {
    const { cdb } = request
    switch (opcode) {
      case ScsiOpcode.TEST_UNIT_READY:
        return succeed(request)
      case ScsiOpcode.INQUIRY:
        return inquire(request, this.#source, this.scratch)
      case ScsiOpcode.READ_CAPACITY_10:
        return this.#readCapacity10(request)
      case ScsiOpcode.SERVICE_ACTION_IN_16:
        return this.#serviceActionIn(request)
      case ScsiOpcode.VERIFY_10:
        return this.#verify(request, u32(cdb, 2), u16(cdb, 7))
      case ScsiOpcode.VERIFY_12:
        return this.#verify(request, u32(cdb, 2), u32(cdb, 6))
      case ScsiOpcode.VERIFY_16:
        return this.#verify(request, u64(cdb, 2), u32(cdb, 10))
      case ScsiOpcode.UNMAP:
        return this.#unmap(request)
      case ScsiOpcode.WRITE_SAME_10:
        return this.#writeSame(request, cdb[1]! & ~NO_DATA_OUT, u32(cdb, 2), u16(cdb, 7))
      case ScsiOpcode.WRITE_SAME_16:
        return this.#writeSame(request, cdb[1]!, u64(cdb, 2), u32(cdb, 10))
      case ScsiOpcode.MODE_SENSE_6:
        return this.#modeSense(request, false, cdb[4]!)
      case ScsiOpcode.MODE_SENSE_10:
        return this.#modeSense(request, true, u16(cdb, 7))
      case ScsiOpcode.MODE_SELECT_6:
        return this.#modeSelect(request, nexus, false, cdb[4]!)
      case ScsiOpcode.MODE_SELECT_10:
        return this.#modeSelect(request, nexus, true, u16(cdb, 7))
      case ScsiOpcode.START_STOP_UNIT:
        return this.#startStop(request)
      case ScsiOpcode.RESERVE_6:
      case ScsiOpcode.RESERVE_10:
        return this.#reserve(request, nexus)
      case ScsiOpcode.RELEASE_6:
      case ScsiOpcode.RELEASE_10:
        return this.#release(request, nexus)
      case ScsiOpcode.PERSISTENT_RESERVE_IN:
        return reserveIn(request, this.#reservations, this.scratch)
      case ScsiOpcode.PERSISTENT_RESERVE_OUT:
        return this.#persistentReserveOut(request, nexus)
      default:
        return fail(request, Sense.INVALID_COMMAND_OPERATION_CODE)
    }
  }

  #refuses(opcode: number, nexus: Nexus): boolean {
    if (this.#reservedBy !== null) {
      const isExempt =
        opcode === ScsiOpcode.INQUIRY ||
        opcode === ScsiOpcode.RELEASE_6 ||
        opcode === ScsiOpcode.RELEASE_10
      return this.#reservedBy !== nexus && !isExempt
    }
    return (
      this.#reservations.reservation !== null && this.#reservations.refuses(opcode, nexus.initiator)
    )
  }

  /** Ends the command, and is false, when the disk hasn't got such blocks. */
  #isOnDisk(request: ScsiRequest, block: number, blockCount: number): boolean {
    if (block <= this.#blockCount - blockCount) return true
    fail(request, Sense.LBA_OUT_OF_RANGE)
    return false
  }

  /** Ends the command, and is false, when the disk is only read. */
  #isWritable(request: ScsiRequest): boolean {
    if (!this.#disk.geometry.readOnly) return true
    fail(request, Sense.WRITE_PROTECTED)
    return false
  }

  #readBlocks(request: ScsiRequest, flags: number, block: number, blockCount: number): void {
    if ((flags & PROTECT) !== 0) return fail(request, Sense.INVALID_FIELD_IN_CDB)
    if (!this.#isOnDisk(request, block, blockCount)) return
    this.read(request, this.#disk, block, blockCount, this.#blockBytes, 1)
  }

  #writeBlocks(request: ScsiRequest, flags: number, block: number, blockCount: number): void {
    if ((flags & PROTECT) !== 0) return fail(request, Sense.INVALID_FIELD_IN_CDB)
    if (!this.#isWritable(request) || !this.#isOnDisk(request, block, blockCount)) return
    const durable = (flags & FUA) !== 0 || !this.#writeCache
    this.write(request, this.#disk, block, blockCount, this.#blockBytes, durable)
  }

  /** The range is checked, the medium isn't read: that is the host's to keep good. No comparison with data. */
  #verify(request: ScsiRequest, block: number, blockCount: number): void {
    if ((request.cdb[1]! & (PROTECT | BYTE_CHECK)) !== 0) {
      return fail(request, Sense.INVALID_FIELD_IN_CDB)
    }
    if (this.#isOnDisk(request, block, blockCount)) succeed(request)
  }

  #unmap(request: ScsiRequest): void {
    if (!this.#disk.geometry.canUnmap) {
      return fail(request, Sense.INVALID_COMMAND_OPERATION_CODE)
    }
    if ((request.cdb[1]! & UNMAP_ANCHOR) !== 0) return fail(request, Sense.INVALID_FIELD_IN_CDB)
    if (!this.#isWritable(request)) return
    const job = takeUnmapList(request, this.scratch, this.#blockCount, this.#limits, this.#jobs)
    if (job === null) return
    if (!job.hasNext) {
      job.end()
      return succeed(request)
    }
    job.next(request.io)
    request.job = job
    this.submit(request, this.#disk)
  }

  #writeSame(request: ScsiRequest, flags: number, block: number, blockCount: number): void {
    const { canUnmap, unmapReadsZeros } = this.#disk.geometry
    const unmap = (flags & WRITE_SAME_UNMAP) !== 0
    const refused = (flags & (PROTECT | ANCHOR)) !== 0 || (unmap && !canUnmap)
    if (refused || blockCount === 0 || blockCount > this.#limits.writeSameBlocksMax) {
      return fail(request, Sense.INVALID_FIELD_IN_CDB)
    }
    if (!this.#isWritable(request) || !this.#isOnDisk(request, block, blockCount)) return
    const { io } = request
    if ((flags & NO_DATA_OUT) === 0) {
      const job = this.#jobs.takePattern()
      if (job === null) return endWith(request, ScsiStatus.TASK_SET_FULL)
      if (!takeParameters(request, job.pattern, this.#blockBytes)) return job.end()
      if (!job.isZero(this.#blockBytes)) {
        job.begin(block, blockCount, this.#blockBytes, !this.#writeCache)
        job.next(io)
        request.job = job
        return this.submit(request, this.#disk)
      }
      job.end()
    }
    io.operation = unmap && unmapReadsZeros ? DiskOperation.UNMAP : DiskOperation.WRITE_ZEROES
    io.block = block
    io.blockCount = blockCount
    io.durable = !this.#writeCache
    this.submit(request, this.#disk)
  }

  #readCapacity10(request: ScsiRequest): void {
    putU32(this.scratch, 0, Math.min(this.#blockCount - 1, 0xffff_ffff))
    putU32(this.scratch, 4, this.#blockBytes)
    respond(request, this.scratch, 8, 8)
  }

  #serviceActionIn(request: ScsiRequest): void {
    if ((request.cdb[1]! & SERVICE_ACTION) !== READ_CAPACITY_16_ACTION) {
      return fail(request, Sense.INVALID_COMMAND_OPERATION_CODE)
    }
    const { geometry } = this.#disk
    const bytes = this.scratch
    bytes.fill(0, 0, READ_CAPACITY_16_BYTES)
    putU64(bytes, 0, this.#blockCount - 1)
    putU32(bytes, 8, this.#blockBytes)
    bytes[13] = physicalExponent(geometry)
    if (geometry.canUnmap) bytes[14] = LBPME | (geometry.unmapReadsZeros ? LBPRZ : 0)
    respond(request, bytes, READ_CAPACITY_16_BYTES, u32(request.cdb, 10))
  }

  #modes(): { writeCache: boolean; defaultWriteCache: boolean; readOnly: boolean } {
    return {
      writeCache: this.#writeCache,
      defaultWriteCache: this.#defaultWriteCache,
      readOnly: this.#disk.geometry.readOnly,
    }
  }

  #modeSense(request: ScsiRequest, isTen: boolean, allocationBytes: number): void {
    if (asksForSaved(request.cdb)) return fail(request, Sense.SAVING_PARAMETERS_NOT_SUPPORTED)
    const length = composeDiskModes(this.scratch, request.cdb, isTen, this.#modes())
    if (length === 0) return fail(request, Sense.INVALID_FIELD_IN_CDB)
    respond(request, this.scratch, length, allocationBytes)
  }

  #modeSelect(request: ScsiRequest, nexus: Nexus, isTen: boolean, lengthBytes: number): void {
    const flags = request.cdb[1]!
    if ((flags & SAVE_PAGES) !== 0 || (flags & PAGE_FORMAT) === 0) {
      return fail(request, Sense.INVALID_FIELD_IN_CDB)
    }
    if (lengthBytes === 0) return succeed(request)
    if (lengthBytes > this.scratch.length) return fail(request, Sense.PARAMETER_LIST_LENGTH_ERROR)
    if (!takeParameters(request, this.scratch, lengthBytes)) return
    const selection = this.#selection
    parseDiskModes(this.scratch, lengthBytes, isTen, this.#modes(), selection)
    if (selection.sense !== Sense.NO_SENSE) return fail(request, selection.sense)
    if (selection.writeCache === this.#writeCache) return succeed(request)
    this.#writeCache = selection.writeCache
    this.raise(Attention.MODE_PARAMETERS_CHANGED, nexus)
    // From now on every write that has ended is durable, those of before too.
    if (selection.writeCache) succeed(request)
    else this.flush(request, this.#disk)
  }

  /** A disk always runs. Stopping it makes durable what was written. */
  #startStop(request: ScsiRequest): void {
    const flags = request.cdb[4]!
    if ((flags & LOAD_EJECT) !== 0) return fail(request, Sense.INVALID_FIELD_IN_CDB)
    if ((flags & (START | NO_FLUSH | POWER_CONDITION)) !== 0) return succeed(request)
    this.flush(request, this.#disk)
  }

  #reserve(request: ScsiRequest, nexus: Nexus): void {
    if (this.#reservations.keys.length > 0) return conflict(request)
    this.#reservedBy = nexus
    succeed(request)
  }

  #release(request: ScsiRequest, nexus: Nexus): void {
    if (this.#reservedBy === nexus) this.#reservedBy = null
    succeed(request)
  }

  #persistentReserveOut(request: ScsiRequest, nexus: Nexus): void {
    const lost = reserveOut(request, nexus, this.#reservations, this.scratch)
    for (const initiator of lost) this.abortInitiator(initiator)
  }
}

function physicalExponent(geometry: DiskGeometry): number {
  return Math.log2(geometry.physicalBlockBytes / geometry.logicalBlockBytes)
}

function hexadecimal(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
