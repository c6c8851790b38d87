// Who a unit is: INQUIRY data and the pages of vital product data (SPC-4, sections 6.6 and 7.8; SBC-3, section 6.6). What composes
// writes at the start of `bytes` and returns how many bytes that is; the caller cuts them to the allocation length.

import type { DiskGeometry } from '../backends/disk.ts'
import { putText, putU16, putU32, putU64, u16 } from './cdb.ts'
import type { ScsiRequest } from './scsi-request.ts'
import { Sense, fail } from './sense.ts'
import { respond } from './transfer.ts'

/** What a unit calls itself. Texts are ASCII. */
export interface UnitIdentity {
  /** `PeripheralType`. */
  readonly peripheralType: number
  readonly removable: boolean
  /** At most 8 characters. */
  readonly vendor: string
  /** At most 16. */
  readonly product: string
  /** At most 4. */
  readonly revision: string
  /** At most 64. */
  readonly serialNumber: string
  /** 16 bytes. */
  readonly uniqueId: Uint8Array
}

/** What Hyper-V's disks call themselves. Linux goes by the vendor: it asks such disks for their pages whatever version they claim. */
export const MICROSOFT_DISK = { vendor: 'Msft', product: 'Virtual Disk', revision: '1.0' } as const
export const MICROSOFT_DVD = {
  vendor: 'Msft',
  product: 'Virtual DVD-ROM',
  revision: '1.0',
} as const

const SERIAL_NUMBER_MAX = 64

/** The same serial number. Throws a RangeError when it doesn't fit its page. */
export function checkSerialNumber(serialNumber: string): string {
  if (serialNumber.length <= SERIAL_NUMBER_MAX) return serialNumber
  throw new RangeError(`a serial number has at most 64 characters, got ${serialNumber.length}`)
}

/** Limits that a disk states, and keeps. */
export interface BlockLimits {
  readonly unmapBlocksMax: number
  readonly unmapRangesMax: number
  readonly writeSameBlocksMax: number
}

/** Bytes of the standard data. */
const INQUIRY_BYTES = 96
const SPC_3 = 0x05
const RESPONSE_DATA_FORMAT = 0x02
const REMOVABLE = 0x80
const COMMAND_QUEUING = 0x02

/** The standard data, by which a unit is found. */
export function composeInquiry(bytes: Uint8Array, identity: UnitIdentity): number {
  bytes.fill(0, 0, INQUIRY_BYTES)
  bytes[0] = identity.peripheralType
  bytes[1] = identity.removable ? REMOVABLE : 0
  bytes[2] = SPC_3
  bytes[3] = RESPONSE_DATA_FORMAT
  bytes[4] = INQUIRY_BYTES - 5
  bytes[7] = COMMAND_QUEUING
  putText(bytes, 8, 8, identity.vendor)
  putText(bytes, 16, 16, identity.product)
  putText(bytes, 32, 4, identity.revision)
  return INQUIRY_BYTES
}

export const VpdPage = {
  SUPPORTED_PAGES: 0x00,
  UNIT_SERIAL_NUMBER: 0x80,
  DEVICE_IDENTIFICATION: 0x83,
  BLOCK_LIMITS: 0xb0,
  BLOCK_DEVICE_CHARACTERISTICS: 0xb1,
  LOGICAL_BLOCK_PROVISIONING: 0xb2,
} as const

/** What a page is made from. */
export interface VpdSource {
  readonly identity: UnitIdentity
  /** The pages that the unit has, `VpdPage`, in order. */
  readonly pages: readonly number[]
  /** Null when the unit is no disk. */
  readonly disk: { readonly geometry: DiskGeometry; readonly limits: BlockLimits } | null
}

const EVPD = 0x01
const CMDDT = 0x02

/** Answers INQUIRY. `bytes` is room to compose in. */
export function inquire(request: ScsiRequest, source: VpdSource, bytes: Uint8Array): void {
  const flags = request.cdb[1]!
  const page = request.cdb[2]!
  let length = 0
  if ((flags & EVPD) !== 0) length = composeVpdPage(bytes, page, source)
  else if ((flags & CMDDT) === 0 && page === 0) length = composeInquiry(bytes, source.identity)
  if (length === 0) fail(request, Sense.INVALID_FIELD_IN_CDB)
  else respond(request, bytes, length, u16(request.cdb, 3))
}

/** Bytes before a page's own. */
const PAGE_HEADER_BYTES = 4
/** The longest page is that of designators, or of a serial number: none reaches this. */
const PAGE_BYTES_MAX = 128

/** Writes a page; 0 when the unit hasn't got it. */
function composeVpdPage(bytes: Uint8Array, page: number, source: VpdSource): number {
  const { identity, pages, disk } = source
  if (!pages.includes(page)) return 0
  switch (page) {
    case VpdPage.SUPPORTED_PAGES:
      beginPage(bytes, page, identity, pages.length)
      for (const [index, code] of pages.entries()) bytes[PAGE_HEADER_BYTES + index] = code
      return PAGE_HEADER_BYTES + pages.length
    case VpdPage.UNIT_SERIAL_NUMBER: {
      const length = identity.serialNumber.length
      beginPage(bytes, page, identity, length)
      putText(bytes, PAGE_HEADER_BYTES, length, identity.serialNumber)
      return PAGE_HEADER_BYTES + length
    }
    case VpdPage.DEVICE_IDENTIFICATION:
      beginPage(bytes, page, identity, T10_BYTES + NAA_BYTES)
      putDesignators(bytes, PAGE_HEADER_BYTES, identity)
      return PAGE_HEADER_BYTES + T10_BYTES + NAA_BYTES
    default:
      return disk === null ? 0 : composeDiskPage(bytes, page, identity, disk.geometry, disk.limits)
  }
}

function beginPage(bytes: Uint8Array, page: number, identity: UnitIdentity, length: number): void {
  bytes.fill(0, 0, PAGE_BYTES_MAX)
  bytes[0] = identity.peripheralType
  bytes[1] = page
  putU16(bytes, 2, length)
}

const BINARY = 0x01
const T10_VENDOR_ID = 0x01
const T10_BYTES = 4 + 8 + 16
const NAA = 0x03
const NAA_BYTES = 4 + 16
/** NAA 6 (IEEE registered extended) and Microsoft's company id 00-22-48, as Hyper-V's disks are named. */
const NAA_6_MICROSOFT = [0x60, 0x02, 0x24, 0x80] as const

/** Two names of the unit, as Hyper-V's disks have them: vendor and id, and an NAA name with twelve bytes of the id. */
function putDesignators(bytes: Uint8Array, at: number, identity: UnitIdentity): void {
  bytes[at] = BINARY
  bytes[at + 1] = T10_VENDOR_ID
  bytes[at + 3] = T10_BYTES - 4
  putText(bytes, at + 4, 8, identity.vendor)
  bytes.set(identity.uniqueId, at + 12)
  const naa = at + T10_BYTES
  bytes[naa] = BINARY
  bytes[naa + 1] = NAA
  bytes[naa + 3] = NAA_BYTES - 4
  bytes.set(NAA_6_MICROSOFT, naa + 4)
  bytes.set(identity.uniqueId.subarray(4), naa + 8)
}

const BLOCK_LIMITS_BYTES = 0x3c
const CHARACTERISTICS_BYTES = 0x3c
const PROVISIONING_BYTES = 4
const WRITE_SAME_NON_ZERO = 0x01
const ALIGNMENT_VALID = 0x8000_0000
/** Nothing rotates. */
const SOLID_STATE = 1
const LBPU = 0x80
const LBPWS = 0x40
const LBPWS10 = 0x20
const LBPRZ = 0x04
const THIN = 2

function composeDiskPage(
  bytes: Uint8Array,
  page: number,
  identity: UnitIdentity,
  geometry: DiskGeometry,
  limits: BlockLimits,
): number {
  switch (page) {
    case VpdPage.BLOCK_LIMITS:
      beginPage(bytes, page, identity, BLOCK_LIMITS_BYTES)
      putLimits(bytes, geometry, limits)
      return PAGE_HEADER_BYTES + BLOCK_LIMITS_BYTES
    case VpdPage.BLOCK_DEVICE_CHARACTERISTICS:
      beginPage(bytes, page, identity, CHARACTERISTICS_BYTES)
      putU16(bytes, 4, SOLID_STATE)
      return PAGE_HEADER_BYTES + CHARACTERISTICS_BYTES
    case VpdPage.LOGICAL_BLOCK_PROVISIONING:
      beginPage(bytes, page, identity, PROVISIONING_BYTES)
      if (geometry.canUnmap) {
        bytes[5] = LBPU | LBPWS | LBPWS10 | (geometry.unmapReadsZeros ? LBPRZ : 0)
        bytes[6] = THIN
      }
      return PAGE_HEADER_BYTES + PROVISIONING_BYTES
    default:
      return 0
  }
}

function putLimits(bytes: Uint8Array, geometry: DiskGeometry, limits: BlockLimits): void {
  const physicalBlocks = geometry.physicalBlockBytes / geometry.logicalBlockBytes
  bytes[4] = WRITE_SAME_NON_ZERO
  putU16(bytes, 6, physicalBlocks)
  if (geometry.canUnmap) {
    putU32(bytes, 20, limits.unmapBlocksMax)
    putU32(bytes, 24, limits.unmapRangesMax)
    putU32(bytes, 28, physicalBlocks)
    putU32(bytes, 32, ALIGNMENT_VALID)
  }
  putU64(bytes, 36, limits.writeSameBlocksMax)
}
