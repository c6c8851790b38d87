// Which logical units there are, and what they are: asked one command after the other, with one request and one page of the guest's.
//
//   each target: REPORT LUNS ─▶ each LUN: INQUIRY ─▶ VPD 00 ─▶ 83, B0, B2 ─▶ READ CAPACITY(16) ─▶ MODE SENSE
//
// A page that a unit does not list is not asked for. What a unit says may be anything: short or wild answers make it a unit of less.

import { PAGE_SIZE, assertNever } from '@guestyard/hvdef'
import { inquiry, modeSense6, readCapacity10, readCapacity16, reportLuns } from './commands.ts'
import { StorOutcome, StorRequest } from './stor-request.ts'

/** A logical unit as it describes itself. */
export interface StorUnit {
  readonly path: number
  readonly target: number
  readonly lun: number
  /** Peripheral device type: 0 a disk, 5 a DVD drive. */
  readonly type: number
  readonly removable: boolean
  readonly vendor: string
  readonly product: string
  /** The NAA name of page 0x83, in hexadecimal; empty without. */
  readonly name: string
  /** 0 when there is no medium. */
  readonly blockCount: number
  /** How often it has said that another medium may be in it. */
  readonly mediumChanges: number
  readonly blockBytes: number
  readonly physicalBlockBytes: number
  readonly readOnly: boolean
  /** Written blocks may be lost until a flush. */
  readonly writeCache: boolean
  readonly canUnmap: boolean
  readonly unmapReadsZeros: boolean
  /** Blocks of one UNMAP; 0 when it can't. */
  readonly maxUnmapBlocks: number
  /** Blocks of one WRITE SAME; 0: the unit does not say. */
  readonly maxWriteZeroesBlocks: number
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

type Stage = 'idle' | 'report-luns' | 'inquiry' | 'vpd' | 'capacity' | 'mode'

/** What a scan asks of its driver. */
export interface ScanOwner {
  /** False when the controller takes no requests. */
  submit(request: StorRequest): boolean
  found(units: readonly StorUnit[]): void
}

const PATH = 0
/** Linux looks at as many. */
const TARGETS = 2
const LUNS_MAX = 255
const ANSWER_BYTES = 512
const ANSWER_MAX_6 = 255
const ALL_PAGES = 0x3f
const CACHING_PAGE = 0x08
const VPD_LIST = 0x00
const VPD_NAME = 0x83
const VPD_LIMITS = 0xb0
const VPD_PROVISIONING = 0xb2
const VPD_WANTED: ReadonlySet<number> = new Set([VPD_NAME, VPD_LIMITS, VPD_PROVISIONING])
const CAPACITY_BYTES = 32
const CAPACITY_10_BYTES = 8
const VPD_HEADER_BYTES = 4
const DESIGNATOR_NAA = 3
const U32 = 0x1_0000_0000
const U32_MAX = 0xffff_ffff
const TYPE_MASK = 0x1f
const TYPE_DVD = 5
const DVD_BLOCK_BYTES = 2048
const QUALIFIER_SHIFT = 5

export class LunScan {
  /** As found last. */
  units: readonly StorUnit[] = []
  readonly #memory: { readonly u8: Uint8Array }
  readonly #gpa: number
  readonly #owner: ScanOwner
  readonly #request: StorRequest
  #stage: Stage = 'idle'
  #isWantedAgain = false
  #target = 0
  #luns: number[] = []
  /** Pages of the unit that are to be asked for; the first is being asked. */
  #pages: number[] = []
  #unit: Mutable<StorUnit> = emptyUnit(0, 0)
  #found: StorUnit[] = []
  /** Of units that have said so, by target and LUN. */
  readonly #mediumChanges: Map<number, number> = new Map()

  constructor(memory: { readonly u8: Uint8Array }, scratchPfn: number, owner: ScanOwner) {
    this.#memory = memory
    this.#gpa = scratchPfn * PAGE_SIZE
    this.#owner = owner
    this.#request = new StorRequest(1, () => this.#answered())
  }

  /** Looks; when it is looking already, again afterwards. */
  start(): void {
    if (this.#stage !== 'idle') {
      this.#isWantedAgain = true
      return
    }
    this.#isWantedAgain = false
    this.#found = []
    this.#target = 0
    this.#askLuns()
  }

  /** The unit of this request says that another medium may be in it. The host's word: it is counted for what may be a unit. */
  mediumChanged({ target, lun }: StorRequest): void {
    const key = keyOf(target, lun)
    this.#mediumChanges.set(key, (this.#mediumChanges.get(key) ?? 0) + 1)
  }

  /** The controller is gone, and its units. */
  forget(): void {
    this.#stage = 'idle'
    this.#isWantedAgain = false
    this.units = []
  }

  #askLuns(): void {
    this.#ask('report-luns', 0, ANSWER_BYTES, reportLuns)
  }

  #ask(
    stage: Stage,
    lun: number,
    lengthBytes: number,
    command: (request: StorRequest) => void,
  ): void {
    const request = this.#request
    this.#stage = stage
    request.path = PATH
    request.target = this.#target
    request.lun = lun
    request.setData(this.#gpa, lengthBytes)
    command(request)
    if (!this.#owner.submit(request)) this.#stage = 'idle'
  }

  #answered(): void {
    const request = this.#request
    if (request.outcome === StorOutcome.GONE) {
      this.#stage = 'idle'
      return
    }
    const isOk = request.outcome === StorOutcome.OK
    const length = isOk ? request.transferredBytes : 0
    // A copy: the page is the host's as much as the guest's.
    const data = new DataView(this.#memory.u8.slice(this.#gpa, this.#gpa + length).buffer)
    const stage = this.#stage
    switch (stage) {
      case 'idle':
        return
      case 'report-luns':
        this.#luns = readLuns(data)
        return this.#nextUnit()
      case 'inquiry':
        if (!readInquiry(data, this.#unit)) return this.#nextUnit()
        this.#pages = [VPD_LIST]
        return this.#nextPage()
      case 'vpd':
        this.#readPage(this.#pages.shift() ?? VPD_LIST, data)
        return this.#nextPage()
      case 'capacity':
        readCapacity(data, this.#unit)
        return this.#ask('mode', this.#unit.lun, ANSWER_MAX_6, (mode) => {
          modeSense6(mode, ALL_PAGES)
        })
      case 'mode':
        readMode(data, this.#unit)
        this.#found.push({
          ...this.#unit,
          mediumChanges: this.#mediumChanges.get(keyOf(this.#target, this.#unit.lun)) ?? 0,
        })
        return this.#nextUnit()
      default:
        return assertNever(stage)
    }
  }

  #nextUnit(): void {
    const lun = this.#luns.shift()
    if (lun !== undefined) {
      this.#unit = emptyUnit(this.#target, lun)
      this.#ask('inquiry', lun, ANSWER_MAX_6, (request) => {
        inquiry(request, -1)
      })
      return
    }
    this.#target += 1
    if (this.#target < TARGETS) return this.#askLuns()
    this.#stage = 'idle'
    this.units = this.#found
    this.#owner.found(this.units)
    if (this.#isWantedAgain) this.start()
  }

  #nextPage(): void {
    const [page] = this.#pages
    const { lun } = this.#unit
    if (page === undefined) {
      return this.#unit.type === TYPE_DVD
        ? this.#ask('capacity', lun, CAPACITY_10_BYTES, readCapacity10)
        : this.#ask('capacity', lun, CAPACITY_BYTES, readCapacity16)
    }
    this.#ask('vpd', lun, ANSWER_MAX_6, (request) => {
      inquiry(request, page)
    })
  }

  #readPage(page: number, data: DataView): void {
    if (data.byteLength < VPD_HEADER_BYTES || data.getUint8(1) !== page) return
    switch (page) {
      case VPD_LIST:
        for (let at = VPD_HEADER_BYTES; at < data.byteLength; at += 1) {
          const listed = data.getUint8(at)
          if (VPD_WANTED.has(listed) && !this.#pages.includes(listed)) this.#pages.push(listed)
        }
        return
      case VPD_NAME:
        this.#unit.name = readName(data)
        return
      case VPD_LIMITS:
        readLimits(data, this.#unit)
        return
      default:
        readProvisioning(data, this.#unit)
    }
  }
}

function keyOf(target: number, lun: number): number {
  return target * (LUNS_MAX + 1) + lun
}

function emptyUnit(target: number, lun: number): Mutable<StorUnit> {
  return {
    path: PATH,
    target,
    lun,
    type: 0,
    removable: false,
    vendor: '',
    product: '',
    name: '',
    blockCount: 0,
    mediumChanges: 0,
    blockBytes: 512,
    physicalBlockBytes: 512,
    readOnly: false,
    writeCache: false,
    canUnmap: false,
    unmapReadsZeros: false,
    maxUnmapBlocks: 0,
    maxWriteZeroesBlocks: 0,
  }
}

// SPC-4, section 6.33: a length, four bytes of nothing, eight bytes a LUN. Those of one level only.
function readLuns(data: DataView): number[] {
  const luns: number[] = []
  if (data.byteLength < 8) return luns
  const end = Math.min(data.byteLength, 8 + data.getUint32(0))
  for (let at = 8; at + 8 <= end && luns.length < LUNS_MAX; at += 8) {
    const lun = data.getUint16(at)
    if (lun <= LUNS_MAX && !luns.includes(lun)) luns.push(lun)
  }
  return luns
}

// SPC-4, section 6.4.2. False when nothing is there.
function readInquiry(data: DataView, unit: Mutable<StorUnit>): boolean {
  if (data.byteLength < 36 || data.getUint8(0) >> QUALIFIER_SHIFT !== 0) return false
  unit.type = data.getUint8(0) & TYPE_MASK
  // Also of an empty drive, which tells no size of blocks.
  if (unit.type === TYPE_DVD) unit.blockBytes = DVD_BLOCK_BYTES
  unit.removable = (data.getUint8(1) & 0x80) !== 0
  unit.vendor = readText(data, 8, 8)
  unit.product = readText(data, 16, 16)
  return true
}

function readText(data: DataView, at: number, length: number): string {
  let text = ''
  for (let index = at; index < at + length; index += 1) {
    const code = data.getUint8(index)
    text += code >= 0x20 && code < 0x7f ? String.fromCodePoint(code) : ' '
  }
  return text.trim()
}

// SPC-4, section 7.8.6: descriptors of code set, type and length; the first NAA name is the unit's.
function readName(data: DataView): string {
  let at = VPD_HEADER_BYTES
  while (at + 4 <= data.byteLength) {
    const length = data.getUint8(at + 3)
    if (at + 4 + length > data.byteLength) return ''
    if ((data.getUint8(at + 1) & 0xf) === DESIGNATOR_NAA) {
      const bytes = new Uint8Array(data.buffer, at + 4, length)
      return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    }
    at += 4 + length
  }
  return ''
}

// SBC-4, section 6.6.4.
function readLimits(data: DataView, unit: Mutable<StorUnit>): void {
  if (data.byteLength < 44) return
  unit.maxUnmapBlocks = data.getUint32(24) > 0 ? data.getUint32(20) : 0
  const high = data.getUint32(36)
  unit.maxWriteZeroesBlocks = high > 0 ? U32_MAX : data.getUint32(40)
}

// SBC-4, section 6.6.6.
function readProvisioning(data: DataView, unit: Mutable<StorUnit>): void {
  if (data.byteLength < 8) return
  unit.canUnmap = (data.getUint8(5) & 0x80) !== 0
}

// SBC-4, section 5.20.2; MMC-6, section 6.24, for drives. Without an answer there is no medium.
function readCapacity(data: DataView, unit: Mutable<StorUnit>): void {
  const isLong = data.byteLength >= 16
  if (!isLong && data.byteLength !== CAPACITY_10_BYTES) return
  const blockBytes = data.getUint32(isLong ? 8 : 4)
  const isSensible =
    blockBytes >= 512 && blockBytes <= PAGE_SIZE && Number.isInteger(Math.log2(blockBytes))
  const last = isLong ? data.getUint32(0) * U32 + data.getUint32(4) : data.getUint32(0)
  if (!isSensible || !Number.isSafeInteger((last + 1) * blockBytes)) return
  unit.blockCount = last + 1
  unit.blockBytes = blockBytes
  unit.physicalBlockBytes = blockBytes
  if (!isLong) return
  unit.physicalBlockBytes = blockBytes << (data.getUint8(13) & 0x7)
  unit.unmapReadsZeros = (data.getUint8(14) & 0x40) !== 0
}

// SPC-4, section 7.5: the header of MODE SENSE(6), then pages.
function readMode(data: DataView, unit: Mutable<StorUnit>): void {
  if (data.byteLength < 4) return
  unit.readOnly = (data.getUint8(2) & 0x80) !== 0
  let at = 4 + data.getUint8(3)
  while (at + 3 <= data.byteLength) {
    if ((data.getUint8(at) & 0x3f) === CACHING_PAGE) {
      unit.writeCache = (data.getUint8(at + 2) & 0x4) !== 0
      return
    }
    at += 2 + data.getUint8(at + 1)
  }
}
