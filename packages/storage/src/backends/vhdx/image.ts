// HOT
// An image that was read and found sound: what disk it is, where its blocks are, and reading from it. A disk is made of one; the
// parents of a differencing image are others, which are only read.

import { NIL_GUID, type Guid } from '@guestyard/hvdef'

import { FileStatus, type BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import type { PieceWalk } from '../piece-walk.ts'
import { BlockTable, entryMib, entryName } from './block-table.ts'
import { FileSpace } from './file-space.ts'
import { BlockState, CHAIN_LENGTH_MAX, FILE_MIB_MAX, MIB } from './format.ts'
import { readHeaders, type HeadersRead } from './header.ts'
import { readReplay, type Replay } from './log-replay.ts'
import { readMetadata, type Metadata } from './metadata.ts'
import type { ParentReference } from './parent-locator.ts'
import { readRegions, type Regions } from './regions.ts'
import { ReplayedFile } from './replayed-file.ts'
import { SectorBitmaps } from './sector-bitmaps.ts'

/** Finds and opens, for reading, the file that a child names. Throws an `ImageError` where there is none. */
export type OpenParent = (reference: ParentReference, child: BackingFile) => BackingFile

/** What the structures of a file say, before its blocks are looked at. */
export interface Structures {
  readonly headers: HeadersRead
  /** What the log must do yet; null: it is empty. */
  readonly replay: Replay | null
  /** The file as it is with the log replayed. */
  readonly view: BackingFile
  readonly regions: Regions
  readonly metadata: Metadata
}

/** Reads headers, log, regions and metadata. Writes nothing. Throws an `ImageError`. */
export function readStructures(file: BackingFile): Structures {
  if (file.sizeBytes > FILE_MIB_MAX * MIB) {
    throw new ImageError(file.name, '', `${file.sizeBytes} bytes are more than 256 TiB`)
  }
  const headers = readHeaders(file)
  const dirty = headers.current.logGuid !== NIL_GUID
  const replay = dirty ? readReplay(file, headers.current) : null
  const view = replay === null ? file : new ReplayedFile(file, replay)
  const regions = readRegions(view)
  return { headers, replay, view, regions, metadata: readMetadata(view, regions.metadata) }
}

export class VhdxImage {
  readonly structures: Structures
  readonly table: BlockTable
  readonly bitmaps: SectorBitmaps
  readonly space: FileSpace
  readonly parent: VhdxImage | null
  /** What is read from: the file itself, or the file with its log replayed. */
  file: BackingFile
  virtualBytes: number
  /** Where BAT and metadata are now: a BAT that grows may move. */
  regions: Regions
  readonly #blockBytes: number
  readonly #sectorBytes: number

  /** Takes the structures of a file, and reads its blocks. Throws an `ImageError`; the file stays the caller's then. */
  constructor(structures: Structures, parent: VhdxImage | null) {
    const { view, metadata, regions } = structures
    this.structures = structures
    this.file = view
    this.parent = parent
    this.virtualBytes = metadata.virtualBytes
    this.regions = regions
    this.#blockBytes = metadata.blockBytes
    this.#sectorBytes = metadata.logicalBytes
    this.table = BlockTable.of(view, metadata, regions.bat)
    this.bitmaps = new SectorBitmaps(this.table)
    this.space = new FileSpace(Math.ceil(view.sizeBytes / MIB))
    claimStructures(structures, this.space, (field, problem) => {
      throw new ImageError(view.name, field, problem)
    })
    this.table.read(view, regions.bat, (index, problem) => {
      throw new ImageError(view.name, entryName(this.table, index), problem)
    })
    claimBlocks(view, this.table, this.space, (field, problem) => {
      throw new ImageError(view.name, field, problem)
    })
  }

  get metadata(): Metadata {
    return this.structures.metadata
  }

  /** Reads so many bytes at a virtual offset into the next pieces. What lies beyond the disk's end is zeros. HOT. */
  read(offset: number, lengthBytes: number, pieces: PieceWalk): FileStatus {
    const end = Math.min(offset + lengthBytes, this.virtualBytes)
    let at = offset
    while (at < end) {
      const block = Math.floor(at / this.#blockBytes)
      const inBlock = at - block * this.#blockBytes
      const count = Math.min(this.#blockBytes - inBlock, end - at)
      const status = this.#readBlock(block, inBlock, count, pieces)
      if (status !== FileStatus.OK) return status
      at += count
    }
    if (at < offset + lengthBytes) pieces.zero(offset + lengthBytes - at)
    return FileStatus.OK
  }

  #readBlock(block: number, inBlock: number, count: number, pieces: PieceWalk): FileStatus {
    const entry = this.table.entry(this.table.indexOf(block))
    switch (entry & 7) {
      case BlockState.FULLY_PRESENT:
        return pieces.read(this.file, (entry >>> 3) * MIB + inBlock, count)
      case BlockState.PARTIALLY_PRESENT:
        return this.#readPartial(block, inBlock, count, pieces)
      case BlockState.NOT_PRESENT:
        return this.#readParent(block * this.#blockBytes + inBlock, count, pieces)
      default:
        pieces.zero(count)
        return FileStatus.OK
    }
  }

  #readPartial(block: number, inBlock: number, count: number, pieces: PieceWalk): FileStatus {
    const start = (this.table.entry(this.table.indexOf(block)) >>> 3) * MIB
    const virtual = block * this.#blockBytes
    for (let at = inBlock; at < inBlock + count;) {
      const sector = (virtual + at) / this.#sectorBytes
      const left = (inBlock + count - at) / this.#sectorBytes
      const run = this.bitmaps.run(this.file, sector, left)
      if (run === 0) return this.bitmaps.lastStatus
      const bytes = Math.abs(run) * this.#sectorBytes
      const status =
        run > 0
          ? pieces.read(this.file, start + at, bytes)
          : this.#readParent(virtual + at, bytes, pieces)
      if (status !== FileStatus.OK) return status
      at += bytes
    }
    return FileStatus.OK
  }

  #readParent(offset: number, count: number, pieces: PieceWalk): FileStatus {
    if (this.parent !== null) return this.parent.read(offset, count, pieces)
    pieces.zero(count)
    return FileStatus.OK
  }
}

/** Opens the chain of parents of an image, for reading. Throws an `ImageError`; what it opened is closed again. */
export function openParents(
  child: Structures,
  openParent: OpenParent | undefined,
  depth = 1,
): VhdxImage | null {
  const reference = child.metadata.parent
  if (reference === null) return null
  const { name } = child.view
  if (openParent === undefined) {
    throw new ImageError(name, 'parent locator', 'the image has a parent, and nobody to find it')
  }
  if (depth >= CHAIN_LENGTH_MAX) {
    throw new ImageError(name, 'parent locator', `more than ${CHAIN_LENGTH_MAX} files in a row`)
  }
  const file = openParent(reference, child.view)
  let grandparent: VhdxImage | null = null
  try {
    const structures = readStructures(file)
    checkParent(child, reference, structures)
    grandparent = openParents(structures, openParent, depth + 1)
    return new VhdxImage(structures, grandparent)
  } catch (error) {
    closeChain(grandparent)
    file.close()
    throw error
  }
}

/** Closes the files of a chain. */
export function closeChain(image: VhdxImage | null): void {
  for (let next = image; next !== null; next = next.parent) next.file.close()
}

/** True when data of that name are those that the child was made of, or those of a merge into its parent. */
function isLinked(reference: ParentReference, dataWriteGuid: Guid): boolean {
  return dataWriteGuid === reference.linkage || dataWriteGuid === reference.linkage2
}

function checkParent(child: Structures, reference: ParentReference, parent: Structures): void {
  const { dataWriteGuid } = parent.headers.current
  if (!isLinked(reference, dataWriteGuid)) {
    throw new ImageError(
      child.view.name,
      'parent locator: parent_linkage',
      `${parent.view.name} was written since: its data are ${dataWriteGuid}, not ${reference.linkage}`,
    )
  }
  if (parent.metadata.logicalBytes !== child.metadata.logicalBytes) {
    const problem = `the parent's is ${parent.metadata.logicalBytes}`
    throw new ImageError(child.view.name, 'logical sector size', problem)
  }
}

type OnProblem = (field: string, problem: string) => void

/** Takes the space of log and regions. */
export function claimStructures(
  { headers, regions, view }: Structures,
  space: FileSpace,
  onProblem: OnProblem,
): void {
  const { logOffset, logLength } = headers.current
  if (!space.claim(logOffset / MIB, logLength / MIB)) onProblem('log', 'it lies over the headers')
  for (const region of regions.all) {
    if (!space.claim(region.offset / MIB, region.length / MIB)) {
      onProblem(`region ${region.regionId}`, `it lies over another structure of ${view.name}`)
    }
  }
}

/** Takes the space of the blocks. */
export function claimBlocks(
  file: BackingFile,
  table: BlockTable,
  space: FileSpace,
  onProblem: OnProblem,
): void {
  for (let index = 0; index < table.entryCount; index += 1) {
    const entry = table.entry(index)
    if (entry === 0) continue
    const state = entry & 7
    if (state === BlockState.PARTIALLY_PRESENT && !hasBitmap(table, index)) {
      onProblem(entryName(table, index), 'partially present, and its sector bitmap is not there')
    }
    if (state < BlockState.FULLY_PRESENT) continue
    const mib = entry >>> 3
    const count = entryMib(table, index)
    if ((mib + count) * MIB > file.sizeBytes) {
      onProblem(entryName(table, index), `the file ends before the block at ${mib} MiB does`)
    } else if (!space.claim(mib, count)) {
      onProblem(entryName(table, index), `the block at ${mib} MiB lies over another structure`)
    }
  }
}

function hasBitmap(table: BlockTable, index: number): boolean {
  const chunk = Math.floor(index / (table.chunkRatio + 1))
  return (table.entry(table.bitmapIndexOf(chunk)) & 7) === BlockState.FULLY_PRESENT
}
