// The ATA disk of an IDE channel over any `Disk` with blocks of 512 bytes (ATA/ATAPI-6, clause 8). A command is cut into pieces that
// fit the buffer; a piece of a PIO command is what one DRQ block has.

import { DiskOperation, DiskRequest, DiskStatus, type Disk } from '../backends/disk.ts'
import { AtaCommand, AtaFeature, MULTIPLE_MAX, TRIM_BLOCKS_MAX } from './commands.ts'
import { DRIVE_BUFFER_BYTES, DrivePhase, IdeDrive } from './drive.ts'
import {
  DEFAULT_HEADS,
  DEFAULT_SECTORS,
  cylindersOf,
  identifyDisk,
  type TransferMode,
} from './identify.ts'
import { ATA_SECTOR_BYTES, AtaError, AtaStatus } from './registers.ts'
import { setTransferMode } from './transfer-mode.ts'

const Work = { NONE: 0, READ: 1, WRITE: 2, VERIFY: 3, FLUSH: 4, TRIM: 5 } as const
type Work = (typeof Work)[keyof typeof Work]

const BUFFER_SECTORS: number = DRIVE_BUFFER_BYTES / ATA_SECTOR_BYTES
const TRIM_ENTRY_BYTES = 8
/** CHECK POWER MODE: in standby; active or idle. */
const [POWER_STANDBY, POWER_ACTIVE] = [0x00, 0xff]

export class AtaDisk extends IdeDrive {
  readonly isPacket = false
  readonly disk: Disk
  /** 0 or 1. */
  readonly #device: number
  readonly #request: DiskRequest = new DiskRequest(1)
  readonly #mode: TransferMode = { multiword: -1, ultra: -1 }
  #work: Work = Work.NONE
  #isDma = false
  #isExt = false
  #durable = false
  /** First block that is not done, how many are left, how many are in one piece, and in the one that is under way. */
  #block = 0
  #left = 0
  #pieceMax = 0
  #piece = 0
  /** TRIM: the next range in the buffer. */
  #rangeAt = 0
  /** The next piece is begun by `poll`. */
  #isDue = false
  #multiple = 0
  #writeCache = true
  #isStandby = false
  #heads = DEFAULT_HEADS
  #sectors = DEFAULT_SECTORS

  /** `disk` is this drive's alone: the drive polls it. Its logical blocks are of 512 bytes. */
  constructor(disk: Disk, device: number) {
    super()
    this.disk = disk
    this.#device = device
    this.diagnosed()
  }

  get hasWork(): boolean {
    return this.#isDue
  }

  nextDeadlineMs(): number {
    return this.disk.nextDeadlineMs()
  }

  poll(budget: number): number {
    let done = this.disk.poll(budget)
    if (this.phase === DrivePhase.RESETTING) this.settleReset()
    else if (this.#isPending && !this.isUnderWay) this.#ended()
    while (this.#isDue && done < budget) {
      done += 1
      this.#isDue = false
      this.#next()
    }
    return done
  }

  /** A request was submitted and did not end at once. */
  #isPending = false

  protected get isUnderWay(): boolean {
    return this.#isPending && this.#request.status === DiskStatus.PENDING
  }

  protected abandon(): void {
    this.#isDue = false
    this.#work = Work.NONE
    if (this.isUnderWay) this.disk.abort(this.#request)
  }

  protected restoreDefaults(): void {
    this.#isPending = false
    this.#multiple = 0
    this.#isStandby = false
    this.#heads = DEFAULT_HEADS
    this.#sectors = DEFAULT_SECTORS
  }

  protected execute(code: number): void {
    switch (code) {
      case AtaCommand.READ_SECTORS:
      case AtaCommand.READ_SECTORS_ONCE:
        return this.#begin(Work.READ, false, 1)
      case AtaCommand.READ_SECTORS_EXT:
        return this.#begin(Work.READ, true, 1)
      case AtaCommand.READ_MULTIPLE:
        return this.#beginMultiple(Work.READ, false)
      case AtaCommand.READ_MULTIPLE_EXT:
        return this.#beginMultiple(Work.READ, true)
      case AtaCommand.READ_DMA:
      case AtaCommand.READ_DMA_ONCE:
        return this.#begin(Work.READ, false, BUFFER_SECTORS, true)
      case AtaCommand.READ_DMA_EXT:
        return this.#begin(Work.READ, true, BUFFER_SECTORS, true)
      case AtaCommand.READ_VERIFY:
      case AtaCommand.READ_VERIFY_ONCE:
        return this.#begin(Work.VERIFY, false, BUFFER_SECTORS)
      case AtaCommand.READ_VERIFY_EXT:
        return this.#begin(Work.VERIFY, true, BUFFER_SECTORS)
      case AtaCommand.WRITE_SECTORS:
      case AtaCommand.WRITE_SECTORS_ONCE:
        return this.#begin(Work.WRITE, false, 1)
      case AtaCommand.WRITE_SECTORS_EXT:
        return this.#begin(Work.WRITE, true, 1)
      case AtaCommand.WRITE_MULTIPLE:
        return this.#beginMultiple(Work.WRITE, false)
      case AtaCommand.WRITE_MULTIPLE_EXT:
        return this.#beginMultiple(Work.WRITE, true)
      case AtaCommand.WRITE_MULTIPLE_FUA_EXT:
        return this.#beginMultiple(Work.WRITE, true, true)
      case AtaCommand.WRITE_DMA:
      case AtaCommand.WRITE_DMA_ONCE:
        return this.#begin(Work.WRITE, false, BUFFER_SECTORS, true)
      case AtaCommand.WRITE_DMA_EXT:
        return this.#begin(Work.WRITE, true, BUFFER_SECTORS, true)
      case AtaCommand.WRITE_DMA_FUA_EXT:
        return this.#begin(Work.WRITE, true, BUFFER_SECTORS, true, true)
      case AtaCommand.DATA_SET_MANAGEMENT:
        return this.#beginTrim()
      case AtaCommand.FLUSH_CACHE:
      case AtaCommand.FLUSH_CACHE_EXT:
        return this.#flush(code === AtaCommand.FLUSH_CACHE_EXT)
      default:
        return this.#executeOther(code)
    }
  }

  #executeOther(code: number): void {
    switch (code) {
      case AtaCommand.IDENTIFY:
        return this.#identify()
      case AtaCommand.SET_FEATURES:
        return this.#setFeatures()
      case AtaCommand.SET_MULTIPLE:
        return this.#setMultiple()
      case AtaCommand.INITIALIZE_PARAMETERS:
        return this.#initializeParameters()
      case AtaCommand.SEEK:
        return this.#seek()
      case AtaCommand.STANDBY:
      case AtaCommand.STANDBY_IMMEDIATE:
        this.#isStandby = true
        return this.finish()
      case AtaCommand.IDLE:
      case AtaCommand.IDLE_IMMEDIATE:
        this.#isStandby = false
        return this.finish()
      case AtaCommand.CHECK_POWER:
        this.file.count = this.#isStandby ? POWER_STANDBY : POWER_ACTIVE
        return this.finish()
      case AtaCommand.SLEEP:
        this.isAsleep = true
        return this.finish()
      default:
        // RECALIBRATE has sixteen codes.
        if ((code & 0xf0) === AtaCommand.RECALIBRATE) return this.finish()
        return this.fail(AtaError.ABRT)
    }
  }

  protected bufferTaken(): void {
    // IDENTIFY has no more than its page.
    if (this.#work === Work.NONE) return this.rest()
    this.#advance()
    if (this.#left > 0) this.#next()
    else if (this.#isDma) this.#complete()
    else {
      this.#work = Work.NONE
      this.rest()
    }
  }

  protected bufferFilled(): void {
    if (this.#work === Work.TRIM) {
      this.#rangeAt = 0
      this.#nextRange()
    } else this.#submit(DiskOperation.WRITE, this.#block, this.#piece)
  }

  #begin(work: Work, isExt: boolean, pieceMax: number, isDma = false, durable = false): void {
    const { file } = this
    const count = isExt ? file.count16 : file.count8
    const block = isExt || file.usesLba ? (isExt ? file.address48 : file.address28) : this.#chs()
    const { blockCount, readOnly } = this.disk.geometry
    this.#isExt = isExt
    this.#block = block
    this.#left = count
    this.#pieceMax = pieceMax
    this.#piece = 0
    this.#isDma = isDma
    this.#durable = durable || !this.#writeCache
    this.#isStandby = false
    if (block < 0 || count > blockCount - block) {
      return this.#failAt(AtaError.IDNF, Math.max(block, blockCount))
    }
    if (work === Work.WRITE && readOnly) return this.fail(AtaError.ABRT)
    this.#work = work
    if (work !== Work.VERIFY) return this.#next()
    this.phase = DrivePhase.WORKING
    this.#isDue = true
  }

  #beginMultiple(work: Work, isExt: boolean, durable = false): void {
    // Before SET MULTIPLE there is no block size.
    if (this.#multiple === 0) return this.fail(AtaError.ABRT)
    this.#begin(work, isExt, this.#multiple, false, durable)
  }

  /** Block of the cylinder, head and sector that the registers have, in the translation in force; -1: there is none. */
  #chs(): number {
    const { lbaLow: sector, lbaMid, lbaHigh, device } = this.file
    const head = device & 0xf
    if (sector < 1 || sector > this.#sectors || head >= this.#heads) return -1
    return (((lbaHigh << 8) | lbaMid) * this.#heads + head) * this.#sectors + sector - 1
  }

  /** The piece from `#block` on: a write asks for its data, everything else goes to the disk. */
  #next(): void {
    if (this.#work === Work.TRIM) return this.#nextRange()
    const isFirst = this.#piece === 0
    this.#piece = Math.min(this.#left, this.#pieceMax)
    if (this.#work === Work.WRITE) {
      this.demand(this.#piece * ATA_SECTOR_BYTES, this.#isDma, !isFirst && !this.#isDma)
    } else this.#submit(DiskOperation.READ, this.#block, this.#piece)
  }

  #advance(): void {
    this.#block += this.#piece
    this.#left -= this.#piece
    if (this.#left === 0) this.#piece = 0
  }

  #submit(operation: DiskOperation, block: number, blockCount: number): void {
    const request = this.#request
    request.operation = operation
    request.block = block
    request.blockCount = blockCount
    request.durable = this.#durable && operation === DiskOperation.WRITE
    request.data.beginBytes(this.buffer)
    const hasData = operation === DiskOperation.READ || operation === DiskOperation.WRITE
    if (hasData) request.data.add(0, blockCount * ATA_SECTOR_BYTES)
    this.phase = DrivePhase.WORKING
    this.#isPending = true
    this.disk.submit(request)
    if (!this.isUnderWay) this.#ended()
  }

  /** The disk has ended the request. */
  #ended(): void {
    this.#isPending = false
    const { status } = this.#request
    if (status === DiskStatus.READ_ERROR && this.#canNarrow) {
      this.#pieceMax = 1
      this.#isDue = true
      return
    }
    if (status !== DiskStatus.OK) return this.#failed(status)
    switch (this.#work) {
      case Work.READ:
        return this.offer(0, this.#piece * ATA_SECTOR_BYTES, this.#isDma)
      case Work.WRITE:
        this.#advance()
        if (this.#left > 0) return this.#next()
        return this.#complete()
      case Work.VERIFY:
        this.#advance()
        if (this.#left === 0) return this.#complete()
        this.#isDue = true
        return
      case Work.TRIM:
        this.#isDue = true
        return
      case Work.FLUSH:
      case Work.NONE:
        return this.#complete()
    }
  }

  /** The host is told which block can't be read, so block by block from here on; the blocks of READ MULTIPLE have their size. */
  get #canNarrow(): boolean {
    return this.#piece > 1 && (this.#isDma || this.#work === Work.VERIFY)
  }

  #complete(): void {
    this.#work = Work.NONE
    this.finish()
  }

  /** What the host is told of a disk's status. A write that the host's disk has no room for is a device fault: ATA has no word for it. */
  #failed(status: DiskStatus): void {
    switch (status) {
      case DiskStatus.READ_ERROR:
        return this.#failAt(AtaError.UNC, this.#block)
      case DiskStatus.OUT_OF_RANGE:
        return this.#failAt(AtaError.IDNF, this.#block)
      case DiskStatus.WRITE_ERROR:
      case DiskStatus.NO_SPACE:
        return this.#failAt(AtaError.ABRT, this.#block, AtaStatus.DF)
      case DiskStatus.OK:
      case DiskStatus.PENDING:
      case DiskStatus.READ_ONLY:
      case DiskStatus.ABORTED:
      case DiskStatus.UNSUPPORTED:
        return this.#failAt(AtaError.ABRT, this.#block)
    }
  }

  /** The registers say at which block. */
  #failAt(error: number, block: number, extra = 0): void {
    const { file } = this
    this.#work = Work.NONE
    this.#isDue = false
    this.#piece = 0
    if (this.#isExt) file.setAddress48(block)
    else if (file.usesLba) file.setAddress28(block)
    else this.#setChs(block)
    file.count = this.#left & 0xff
    this.fail(error, extra)
  }

  #setChs(block: number): void {
    const { file } = this
    const track = Math.floor(block / this.#sectors)
    const cylinder = Math.floor(track / this.#heads)
    file.lbaLow = (block % this.#sectors) + 1
    file.lbaMid = cylinder & 0xff
    file.lbaHigh = (cylinder >>> 8) & 0xff
    file.device = (file.device & 0xf0) | ((track % this.#heads) & 0xf)
  }

  #flush(isExt: boolean): void {
    this.#isExt = isExt
    this.#block = 0
    this.#left = 0
    this.#work = Work.FLUSH
    this.#submit(DiskOperation.FLUSH, 0, 0)
  }

  #beginTrim(): void {
    const { file } = this
    const blocks = file.rawCount16
    const { canUnmap, readOnly } = this.disk.geometry
    const isTrim = (file.features & 1) !== 0
    if (!isTrim || !canUnmap || readOnly || blocks === 0 || blocks > TRIM_BLOCKS_MAX) {
      return this.fail(AtaError.ABRT)
    }
    this.#work = Work.TRIM
    this.#isExt = true
    this.#left = 0
    this.demand(blocks * ATA_SECTOR_BYTES, true, false)
  }

  /** Ranges of the buffer, one at a time: 48 bits of address, 16 of count; those without blocks are padding. */
  #nextRange(): void {
    const { buffer, end } = this
    const { blockCount } = this.disk.geometry
    while (this.#rangeAt < end) {
      const at = this.#rangeAt
      this.#rangeAt += TRIM_ENTRY_BYTES
      const count = buffer[at + 6]! | (buffer[at + 7]! << 8)
      if (count === 0) continue
      const low = buffer[at]! | (buffer[at + 1]! << 8) | (buffer[at + 2]! << 16)
      const high = buffer[at + 3]! | (buffer[at + 4]! << 8) | (buffer[at + 5]! << 16)
      this.#block = high * 2 ** 24 + low
      if (count > blockCount - this.#block) return this.#failAt(AtaError.IDNF, this.#block)
      return this.#submit(DiskOperation.UNMAP, this.#block, count)
    }
    this.#complete()
  }

  #identify(): void {
    const { blockCount, physicalBlockBytes, canUnmap, unmapReadsZeros, uniqueId } =
      this.disk.geometry
    identifyDisk(this.buffer, {
      blockCount,
      physicalBlockBytes,
      canTrim: canUnmap,
      trimReadsZeros: unmapReadsZeros,
      uniqueId,
      device: this.#device,
      writeCache: this.#writeCache,
      multiple: this.#multiple,
      mode: this.#mode,
      heads: this.#heads,
      sectorsPerTrack: this.#sectors,
    })
    this.offer(0, ATA_SECTOR_BYTES, false)
  }

  #setFeatures(): void {
    const { features, count } = this.file
    switch (features) {
      case AtaFeature.WRITE_CACHE_ON:
        this.#writeCache = true
        return this.finish()
      case AtaFeature.WRITE_CACHE_OFF:
        // What was written is durable when the cache is off.
        this.#writeCache = false
        return this.#flush(false)
      case AtaFeature.TRANSFER_MODE:
        return setTransferMode(this.#mode, count) ? this.finish() : this.fail(AtaError.ABRT)
      case AtaFeature.READ_AHEAD_ON:
      case AtaFeature.READ_AHEAD_OFF:
      case AtaFeature.DEFAULTS_KEPT:
      case AtaFeature.DEFAULTS_RESTORED:
        return this.finish()
      default:
        return this.fail(AtaError.ABRT)
    }
  }

  #setMultiple(): void {
    const { count } = this.file
    const isPower = count > 0 && (count & (count - 1)) === 0
    if (count > MULTIPLE_MAX || (count !== 0 && !isPower)) return this.fail(AtaError.ABRT)
    this.#multiple = count
    this.finish()
  }

  #initializeParameters(): void {
    const heads = (this.file.device & 0xf) + 1
    const sectors = this.file.count
    if (sectors === 0) return this.fail(AtaError.ABRT)
    if (cylindersOf(this.disk.geometry.blockCount, heads, sectors) === 0) {
      return this.fail(AtaError.ABRT)
    }
    this.#heads = heads
    this.#sectors = sectors
    this.finish()
  }

  #seek(): void {
    const block = this.file.usesLba ? this.file.address28 : this.#chs()
    this.#isExt = false
    this.#left = 0
    if (block >= 0 && block < this.disk.geometry.blockCount) return this.finish()
    this.#failAt(AtaError.IDNF, Math.max(block, 0))
  }
}
