// The region table: where the BAT and the metadata are. There are two copies (MS-VHDX 2.2.3); one good copy is enough.

import type { Guid } from '@guestyard/hvdef'

import type { BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import { crc32c } from './crc32c.ts'
import { readField } from './file-access.ts'
import {
  BAT_REGION,
  FIRST_STRUCTURE_OFFSET,
  METADATA_REGION,
  METADATA_TABLE_BYTES,
  MIB,
  REGION_ENTRIES_MAX,
  REGION_REQUIRED,
  REGION_SIGNATURE,
  REGION_TABLE_BYTES,
  REGION_TABLE_OFFSETS,
  RegionTableEntry,
  RegionTableHeader,
} from './format.ts'

const CHECKSUM_AT = RegionTableHeader.at.checksum

export interface Region {
  readonly regionId: Guid
  readonly offset: number
  readonly length: number
  readonly required: boolean
}

export interface Regions {
  readonly bat: Region
  readonly metadata: Region
  /** All of them, those we don't know included: their space is taken. */
  readonly all: readonly Region[]
  /** The table's bytes, of the copy that was read. */
  readonly table: Uint8Array
  /** What is wrong with the other copy; empty when they are the same. */
  readonly copyProblem: string
}

/** Reads the table: the first copy, or the second where the first is bad. Throws an `ImageError`. */
export function readRegions(file: BackingFile): Regions {
  const tables = [readTable(file, 0), readTable(file, 1)] as const
  const good = tables[0].problem === '' ? tables[0] : tables[1]
  const other = good === tables[0] ? tables[1] : tables[0]
  if (good.problem !== '') {
    throw new ImageError(
      file.name,
      'region tables',
      `neither is good: 1: ${tables[0].problem}; 2: ${tables[1].problem}`,
    )
  }
  let copyProblem = other.problem === '' ? '' : `copy ${other.copy + 1}: ${other.problem}`
  if (copyProblem === '' && good.checksum !== other.checksum) {
    copyProblem = 'the two copies differ'
  }
  const all = parseEntries(file, good)
  const bat = all.find((region) => region.regionId === BAT_REGION)
  const metadata = all.find((region) => region.regionId === METADATA_REGION)
  if (bat === undefined) throw new ImageError(file.name, 'region table', 'it has no BAT')
  if (metadata === undefined) throw new ImageError(file.name, 'region table', 'it has no metadata')
  if (metadata.length < METADATA_TABLE_BYTES) {
    throw new ImageError(file.name, 'metadata region', `${metadata.length} bytes are too few`)
  }
  return { bat, metadata, all, table: good.bytes, copyProblem }
}

/** A table of both regions, 64 KiB. */
export function encodeRegions(regions: readonly Region[]): Uint8Array {
  const bytes = new Uint8Array(REGION_TABLE_BYTES)
  const view = new DataView(bytes.buffer)
  RegionTableHeader.encode(view, 0, {
    signature: REGION_SIGNATURE,
    checksum: 0,
    entryCount: regions.length,
  })
  for (const [index, region] of regions.entries()) {
    RegionTableEntry.encode(view, RegionTableHeader.size + index * RegionTableEntry.size, {
      regionId: region.regionId,
      fileOffset: BigInt(region.offset),
      length: region.length,
      flags: region.required ? REGION_REQUIRED : 0,
    })
  }
  view.setUint32(CHECKSUM_AT, crc32c(bytes, 0, REGION_TABLE_BYTES, CHECKSUM_AT), true)
  return bytes
}

interface Table {
  readonly copy: 0 | 1
  readonly bytes: Uint8Array
  readonly checksum: number
  readonly problem: string
}

function readTable(file: BackingFile, copy: 0 | 1): Table {
  const bytes = readField(
    file,
    `region table ${copy + 1}`,
    REGION_TABLE_OFFSETS[copy],
    REGION_TABLE_BYTES,
  )
  const header = RegionTableHeader.decode(new DataView(bytes.buffer))
  let problem = ''
  if (header.signature !== REGION_SIGNATURE) problem = 'it does not say "regi"'
  else if (header.checksum !== crc32c(bytes, 0, REGION_TABLE_BYTES, CHECKSUM_AT)) {
    problem = 'its checksum is wrong'
  } else if (header.entryCount > REGION_ENTRIES_MAX) {
    problem = `${header.entryCount} entries: ${REGION_ENTRIES_MAX} is the most`
  }
  return { copy, bytes, checksum: header.checksum, problem }
}

function parseEntries(file: BackingFile, table: Table): Region[] {
  const view = new DataView(table.bytes.buffer)
  const { entryCount } = RegionTableHeader.decode(view)
  const regions: Region[] = []
  const seen = new Set<Guid>()
  for (let index = 0; index < entryCount; index += 1) {
    const at = RegionTableHeader.size + index * RegionTableEntry.size
    const entry = RegionTableEntry.decode(view, at)
    const field = `region ${regionName(entry.regionId)}`
    const offset = Number(entry.fileOffset)
    const required = (entry.flags & REGION_REQUIRED) !== 0
    if (seen.has(entry.regionId)) throw new ImageError(file.name, field, 'it is there twice')
    seen.add(entry.regionId)
    if (required && entry.regionId !== BAT_REGION && entry.regionId !== METADATA_REGION) {
      throw new ImageError(file.name, field, 'it is required, and nobody here knows it')
    }
    if (offset < FIRST_STRUCTURE_OFFSET || offset % MIB !== 0) {
      throw new ImageError(file.name, `${field}: offset`, `${offset} is no place for a region`)
    }
    if (entry.length === 0 || entry.length % MIB !== 0) {
      throw new ImageError(file.name, `${field}: length`, `${entry.length} is not whole MiB`)
    }
    if (offset + entry.length > file.sizeBytes) {
      throw new ImageError(file.name, `${field}: length`, 'the file ends before the region does')
    }
    regions.push({ regionId: entry.regionId, offset, length: entry.length, required })
  }
  return regions
}

function regionName(id: Guid): string {
  if (id === BAT_REGION) return 'BAT'
  return id === METADATA_REGION ? 'metadata' : id
}
