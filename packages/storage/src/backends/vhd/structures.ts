// Reading and making a VHD's footer and header: every field checked, each problem an error that names the field.

import type { ValuesOf } from '@guestyard/hvdef'

import { FileStatus } from '../backing-file.ts'
import type { BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import {
  CREATOR_APPLICATION,
  CREATOR_HOST_OS,
  CREATOR_VERSION,
  DiskType,
  FEATURES,
  FOOTER_COOKIE,
  Footer,
  HEADER_COOKIE,
  Header,
  NO_OFFSET,
  SECTOR_BYTES,
  VERSION_1,
  VHD_MAX_BYTES,
  checksumOf,
  geometryOf,
  tableBytesOf,
  timeStampOf,
} from './format.ts'

export type FooterValues = ValuesOf<typeof Footer>

/** What the structures say, checked. */
export interface VhdLayout {
  readonly kind: 'fixed' | 'dynamic'
  readonly sizeBytes: number
  readonly uniqueId: Uint8Array
  /** The footer as it is, to be written again behind blocks. */
  readonly footer: Uint8Array
  /** False: the one at the end is missing or damaged, and its copy was used. */
  readonly endFooterFound: boolean
  /** Dynamic only. */
  readonly blockBytes: number
  readonly tableOffset: number
  readonly tableEntries: number
  /** Blocks lie behind this. */
  readonly structuresEnd: number
}

const HEADER_OFFSET = SECTOR_BYTES
/** Blocks that are smaller than this no tool makes, and larger ones neither. */
const BLOCK_BYTES_MIN = 4096
const BLOCK_BYTES_MAX = 256 * 2 ** 20
/** 64 MiB of BAT: 2,040 GiB in blocks of 128 KiB. */
const TABLE_ENTRIES_MAX = 2 ** 24

/** True when the file has a footer of this format, sound or not, where one belongs. */
export function looksLikeVhd(file: BackingFile): boolean {
  const cookie = new Uint8Array(8)
  return [file.sizeBytes - SECTOR_BYTES, 0].some(
    (position) =>
      position >= 0 &&
      file.read(position, cookie, 0, 8) === FileStatus.OK &&
      sameBytes(cookie, FOOTER_COOKIE),
  )
}

/** Throws an ImageError that names the field. */
export function readLayout(file: BackingFile): VhdLayout {
  if (file.sizeBytes < SECTOR_BYTES) {
    throw new ImageError(file.name, 'size', `${file.sizeBytes} bytes have no room for a footer`)
  }
  const end = readStructure(file, 'footer', file.sizeBytes - SECTOR_BYTES, SECTOR_BYTES)
  const problem = footerProblem(end)
  let bytes = end
  if (problem !== undefined) {
    // A dynamic disk whose last block was on its way when the power went.
    bytes = readStructure(file, 'footer', 0, SECTOR_BYTES)
    const isCopy = footerProblem(bytes) === undefined && typeOf(bytes) !== DiskType.FIXED
    if (!isCopy) throw new ImageError(file.name, `footer: ${problem[0]}`, problem[1])
  }
  const footer = Footer.decode(viewOf(bytes))
  const sizeBytes = checkedSize(file, footer)
  const base = {
    sizeBytes,
    uniqueId: footer.uniqueId,
    footer: bytes,
    endFooterFound: problem === undefined,
  }
  switch (footer.diskType) {
    case DiskType.FIXED:
      if (sizeBytes > file.sizeBytes - SECTOR_BYTES) {
        throw new ImageError(file.name, 'footer: current size', 'is more than the file holds')
      }
      return {
        kind: 'fixed',
        ...base,
        blockBytes: 0,
        tableOffset: 0,
        tableEntries: 0,
        structuresEnd: 0,
      }
    case DiskType.DYNAMIC:
      return { kind: 'dynamic', ...base, ...readHeader(file, footer, sizeBytes) }
    case DiskType.DIFFERENCING:
      throw new ImageError(
        file.name,
        'footer: disk type',
        'differencing disks are read in VHDX only',
      )
    default:
      throw new ImageError(file.name, 'footer: disk type', `${footer.diskType} is unknown`)
  }
}

function readHeader(
  file: BackingFile,
  footer: FooterValues,
  sizeBytes: number,
): Pick<VhdLayout, 'blockBytes' | 'tableOffset' | 'tableEntries' | 'structuresEnd'> {
  const fail = (field: string, problem: string): never => {
    throw new ImageError(file.name, field, problem)
  }
  const offset = Number(footer.dataOffset)
  if (offset % SECTOR_BYTES !== 0 || offset < HEADER_OFFSET || offset > file.sizeBytes) {
    fail('footer: data offset', `${footer.dataOffset} is no place for a header`)
  }
  const bytes = readStructure(file, 'header', offset, Header.size)
  const header = Header.decode(viewOf(bytes))
  if (!sameBytes(header.cookie, HEADER_COOKIE)) fail('header: cookie', 'is not "cxsparse"')
  if (header.checksum !== checksumOf(bytes, Header.at.checksum)) fail('header: checksum', 'differs')
  if (header.headerVersion !== VERSION_1) {
    fail('header: version', `${hex(header.headerVersion)} is unknown`)
  }
  const blockBytes = header.blockSize
  const isPower = blockBytes !== 0 && (blockBytes & (blockBytes - 1)) === 0
  if (!isPower || blockBytes < BLOCK_BYTES_MIN || blockBytes > BLOCK_BYTES_MAX) {
    fail('header: block size', `${blockBytes} is no power of two from 4 KiB to 256 MiB`)
  }
  const tableEntries = header.maxTableEntries
  if (tableEntries > TABLE_ENTRIES_MAX) {
    fail('header: max table entries', `${tableEntries} are more than ${TABLE_ENTRIES_MAX}`)
  }
  if (tableEntries < Math.ceil(sizeBytes / blockBytes)) {
    fail('header: max table entries', `${tableEntries} are too few for ${sizeBytes} bytes`)
  }
  const tableOffset = Number(header.tableOffset)
  const tableEnd = tableOffset + tableBytesOf(tableEntries)
  if (tableOffset % SECTOR_BYTES !== 0 || tableOffset < SECTOR_BYTES) {
    fail('header: table offset', `${header.tableOffset} is no place for a table`)
  }
  if (tableEnd > file.sizeBytes) fail('header: table offset', 'the table ends beyond the file')
  if (tableOffset < offset + Header.size && tableEnd > offset) {
    fail('header: table offset', 'the table lies over the header')
  }
  const structuresEnd = Math.max(tableEnd, offset + Header.size)
  return { blockBytes, tableOffset, tableEntries, structuresEnd }
}

function checkedSize(file: BackingFile, footer: FooterValues): number {
  const sizeBytes = Number(footer.currentSize)
  const isGood = sizeBytes > 0 && sizeBytes % SECTOR_BYTES === 0 && sizeBytes <= VHD_MAX_BYTES
  if (isGood) return sizeBytes
  const problem = `${footer.currentSize} is no multiple of 512 up to 2,040 GiB`
  throw new ImageError(file.name, 'footer: current size', problem)
}

/** The field and what is wrong with it. */
function footerProblem(bytes: Uint8Array): readonly [string, string] | undefined {
  const footer = Footer.decode(viewOf(bytes))
  if (!sameBytes(footer.cookie, FOOTER_COOKIE)) return ['cookie', 'is not "conectix"']
  if (footer.checksum !== checksumOf(bytes, Footer.at.checksum)) return ['checksum', 'differs']
  if (footer.formatVersion >>> 16 !== VERSION_1 >>> 16) {
    return ['format version', `${hex(footer.formatVersion)} is unknown`]
  }
  return undefined
}

function typeOf(footer: Uint8Array): number {
  return viewOf(footer).getUint32(Footer.at.diskType)
}

export interface FooterOptions {
  readonly kind: 'fixed' | 'dynamic'
  /** A multiple of 512, at most 2,040 GiB. */
  readonly sizeBytes: number
  /** 16 bytes. */
  readonly uniqueId: Uint8Array
  readonly createdAtMs: number
}

export function makeFooter(options: FooterOptions): Uint8Array<ArrayBuffer> {
  const { kind, sizeBytes, uniqueId, createdAtMs } = options
  const [cylinders, heads, sectors] = geometryOf(sizeBytes)
  const bytes = Footer.pack({
    cookie: FOOTER_COOKIE,
    features: FEATURES,
    formatVersion: VERSION_1,
    dataOffset: kind === 'fixed' ? NO_OFFSET : BigInt(HEADER_OFFSET),
    timeStamp: timeStampOf(createdAtMs),
    creatorApplication: CREATOR_APPLICATION,
    creatorVersion: CREATOR_VERSION,
    creatorHostOs: CREATOR_HOST_OS,
    originalSize: BigInt(sizeBytes),
    currentSize: BigInt(sizeBytes),
    cylinders,
    headsAndSectors: (heads << 8) | sectors,
    diskType: kind === 'fixed' ? DiskType.FIXED : DiskType.DYNAMIC,
    checksum: 0,
    uniqueId,
    savedState: new Uint8Array(1),
  })
  seal(bytes, Footer.at.checksum)
  return bytes
}

/** The same footer of a larger disk. */
export function resizedFooter(footer: Uint8Array, sizeBytes: number): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(footer)
  const view = viewOf(bytes)
  const [cylinders, heads, sectors] = geometryOf(sizeBytes)
  view.setBigUint64(Footer.at.currentSize, BigInt(sizeBytes))
  view.setUint16(Footer.at.cylinders, cylinders)
  view.setUint16(Footer.at.headsAndSectors, (heads << 8) | sectors)
  seal(bytes, Footer.at.checksum)
  return bytes
}

export function makeHeader(
  tableOffset: number,
  tableEntries: number,
  blockBytes: number,
): Uint8Array<ArrayBuffer> {
  const bytes = Header.pack({
    cookie: HEADER_COOKIE,
    dataOffset: NO_OFFSET,
    tableOffset: BigInt(tableOffset),
    headerVersion: VERSION_1,
    maxTableEntries: tableEntries,
    blockSize: blockBytes,
    checksum: 0,
    parentUniqueId: new Uint8Array(16),
    parentTimeStamp: 0,
    parentUnicodeName: new Uint8Array(512),
    parentLocators: new Uint8Array(192),
  })
  seal(bytes, Header.at.checksum)
  return bytes
}

function seal(bytes: Uint8Array, fieldAt: number): void {
  viewOf(bytes).setUint32(fieldAt, checksumOf(bytes, fieldAt))
}

/** Reads a structure whole, or says that the file has no room for it. */
export function readStructure(
  file: BackingFile,
  name: string,
  position: number,
  lengthBytes: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lengthBytes)
  const status = file.read(position, bytes, 0, lengthBytes)
  if (status === FileStatus.OK) return bytes
  const problem =
    status === FileStatus.BEYOND_END
      ? `the file ends inside it, at ${file.sizeBytes}`
      : `can't be read: ${file.lastError}`
  throw new ImageError(file.name, name, problem)
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, at) => byte === b[at])
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}
