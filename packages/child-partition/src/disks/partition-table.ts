// GUID partition tables: read with every field checked before it is believed, and written with the copy at the disk's end. The layout
// is the package `gpt`'s; what a table may say, and which copy counts, is ours. Cold: a table is read when a program asks for it.
//
//   block 0   1        2 …            first usable … last usable            … last − 1     last
//   MBR       header   entries (CRC)  partitions                            entries        header
//
// Source: UEFI 2.10, chapter 5.3.

import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'

import GPT from 'gpt'

/** Blocks as tables need them. */
export interface TableBlocks {
  readonly blockBytes: number
  readonly blockCount: number
  read(block: number, count: number): Promise<Uint8Array>
  write(block: number, bytes: Uint8Array): Promise<void>
  flush(): Promise<void>
}

/** One partition. GUIDs are in upper case. */
export interface PartitionEntry {
  readonly type: string
  readonly guid: string
  readonly name: string
  readonly firstBlock: number
  readonly blockCount: number
}

export interface PartitionTable {
  readonly guid: string
  /** Which of the two was whole; `backup` when the first was not. */
  readonly copy: 'primary' | 'backup'
  readonly partitions: readonly PartitionEntry[]
}

const SIGNATURE = 'EFI PART'
const HEADER_BYTES_MIN = 92
const ENTRY_BYTES_MIN = 128
const ENTRY_BYTES_MAX = 4096
/** Far beyond what tools make (128); bounds what a table makes us read. */
const ENTRIES_MAX = 1024
const TABLE_BYTES = 128 * 128
const NAME_CHARACTERS_MAX = 36
const ZERO_GUID = '00000000-0000-0000-0000-000000000000'
const GUID = /^[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}$/

/** The disk's table; null when neither place has the signature. Throws, in one line, when there is one and neither copy is whole. */
export async function readPartitionTable(disk: TableBlocks): Promise<PartitionTable | null> {
  const primary = await readCopy(disk, 1)
  if (typeof primary === 'object' && primary !== null) return { ...primary, copy: 'primary' }
  const backup = await readCopy(disk, disk.blockCount - 1)
  if (typeof backup === 'object' && backup !== null) return { ...backup, copy: 'backup' }
  if (primary === null && backup === null) return null
  throw new Error(
    `no whole partition table: primary: ${primary ?? 'no signature'}; backup: ${backup ?? 'no signature'}`,
  )
}

/**
 * Writes both copies and the protective MBR, the backup first: whenever the power goes, one of the two is whole. Throws a RangeError
 * for partitions that overlap or don't fit.
 */
export async function writePartitionTable(
  disk: TableBlocks,
  guid: string,
  partitions: readonly PartitionEntry[],
): Promise<void> {
  const { blockBytes, blockCount } = disk
  const tableBlocks = Math.ceil(TABLE_BYTES / blockBytes)
  const first = 2 + tableBlocks
  const last = blockCount - tableBlocks - 2
  if (last < first) throw new RangeError(`a disk of ${blockCount} blocks has no room for a table`)
  if (partitions.length > 128) throw new RangeError(`${partitions.length} partitions, at most 128`)
  const problem = partitionsProblem(partitions, first, last) ?? namesProblem(guid, partitions)
  if (problem !== undefined) throw new RangeError(problem)
  const table = new GPT({
    blockSize: blockBytes,
    guid,
    currentLBA: 1n,
    backupLBA: BigInt(blockCount - 1),
    firstLBA: BigInt(first),
    lastLBA: BigInt(last),
  })
  for (const { type, guid: own, name, firstBlock, blockCount: count } of partitions) {
    const firstLBA = BigInt(firstBlock)
    const lastLBA = BigInt(firstBlock + count - 1)
    table.partitions.push(new GPT.PartitionEntry({ type, guid: own, name, firstLBA, lastLBA }))
  }
  const primary = wholeBlocks(table.write(), blockBytes)
  const backup = wholeBlocks(table.writeBackupFromPrimary(), blockBytes)
  await disk.write(blockCount - backup.length / blockBytes, backup)
  await disk.flush()
  await disk.write(0, protectiveMbr(blockBytes, blockCount))
  await disk.write(1, primary)
  await disk.flush()
}

/** The copy whose header is at `at`: null without the signature, a text saying what is wrong with it otherwise. */
async function readCopy(
  disk: TableBlocks,
  at: number,
): Promise<Omit<PartitionTable, 'copy'> | string | null> {
  if (at < 1 || at >= disk.blockCount) return null
  const header = Buffer.from(await disk.read(at, 1))
  if (header.toString('latin1', 0, 8) !== SIGNATURE) return null
  const headerBytes = header.readUInt32LE(12)
  if (headerBytes < HEADER_BYTES_MIN || headerBytes > disk.blockBytes) {
    return `header size ${headerBytes}`
  }
  const table = new GPT({ blockSize: disk.blockBytes }).parseHeader(header)
  const checksum = table.checksumHeader(header.subarray(0, headerBytes))
  if (checksum !== table.headerChecksum) return 'header checksum'
  const { entries, entrySize } = table
  if (table.currentLBA !== BigInt(at)) return `header says that it is at block ${table.currentLBA}`
  if (entries < 1 || entries > ENTRIES_MAX) return `${entries} entries`
  if (entrySize < ENTRY_BYTES_MIN || entrySize > ENTRY_BYTES_MAX || entrySize % 8 !== 0) {
    return `entries of ${entrySize} bytes`
  }
  const { blockCount, blockBytes } = disk
  const blocks = Math.ceil((entries * entrySize) / blockBytes)
  const where = blockNumber(table.tableOffset, blockCount)
  const first = blockNumber(table.firstLBA, blockCount)
  const last = blockNumber(table.lastLBA, blockCount)
  if (where < 1 || blocks > blockCount - where) return `table at block ${table.tableOffset}`
  if (first < 1 || last < first) {
    return `usable blocks ${table.firstLBA} to ${table.lastLBA}`
  }
  const bytes = Buffer.from(await disk.read(where, blocks)).subarray(0, entries * entrySize)
  if (crc32(bytes) !== table.tableChecksum) return 'table checksum'
  const partitions = table.parseTable(bytes).partitions.map((entry) => {
    const firstBlock = blockNumber(entry.firstLBA, blockCount)
    const lastBlock = blockNumber(entry.lastLBA, blockCount)
    const count = lastBlock - firstBlock + 1
    return { type: entry.type, guid: entry.guid, name: entry.name, firstBlock, blockCount: count }
  })
  return partitionsProblem(partitions, first, last) ?? { guid: table.guid, partitions }
}

/** A block of the disk, or -1. */
function blockNumber(block: bigint, blockCount: number): number {
  return block < BigInt(blockCount) ? Number(block) : -1
}

function partitionsProblem(
  partitions: readonly PartitionEntry[],
  first: number,
  last: number,
): string | undefined {
  const sorted = partitions.toSorted((a, b) => a.firstBlock - b.firstBlock)
  let end = first
  for (const { name, firstBlock, blockCount } of sorted) {
    const text = `partition ${JSON.stringify(name)}`
    if (!(blockCount >= 1) || firstBlock < first || firstBlock + blockCount - 1 > last) {
      return `${text} is not within blocks ${first} to ${last}`
    }
    if (firstBlock < end) return `${text} overlaps another`
    end = firstBlock + blockCount
  }
  return undefined
}

function namesProblem(guid: string, partitions: readonly PartitionEntry[]): string | undefined {
  for (const id of [guid, ...partitions.flatMap((one) => [one.type, one.guid])]) {
    if (!GUID.test(id)) return `${JSON.stringify(id)} is not a GUID in upper case`
  }
  for (const { name, type } of partitions) {
    if (type === ZERO_GUID) return `partition ${JSON.stringify(name)} has the type of none`
    if (name.length > NAME_CHARACTERS_MAX) return `partition ${JSON.stringify(name)}: long name`
  }
  return undefined
}

function wholeBlocks(bytes: Buffer, blockBytes: number): Uint8Array {
  const whole = new Uint8Array(Math.ceil(bytes.length / blockBytes) * blockBytes)
  whole.set(bytes)
  return whole
}

/** One partition of type 0xEE over the whole disk: tools that know no GPT leave it alone. */
function protectiveMbr(blockBytes: number, blockCount: number): Uint8Array {
  const mbr = new Uint8Array(blockBytes)
  const view = new DataView(mbr.buffer)
  mbr.set([0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff], 446)
  view.setUint32(454, 1, true)
  view.setUint32(458, Math.min(blockCount - 1, 0xffff_ffff), true)
  mbr.set([0x55, 0xaa], 510)
  return mbr
}
