// Making a disk larger: more entries in the BAT, which may have to move for it, and another size in the metadata, all in one commit.

import { FileStatus, type BackingFile } from '../backing-file.ts'
import { ImageError, type ImageJob } from '../image.ts'
import { Alterations } from './alterations.ts'
import type { VhdxDisk } from './disk.ts'
import { writeZeros } from '../zeros.ts'
import {
  BlockState,
  FILE_MIB_MAX,
  MIB,
  MetadataItem,
  REGION_TABLE_OFFSETS,
  VIRTUAL_BYTES_MAX,
  writeU64,
} from './format.ts'
import { patchPages, type Patch } from './loose-pages.ts'
import type { VhdxImage } from './image.ts'
import { encodeRegions, type Region } from './regions.ts'
import { writeTable } from './write-table.ts'

/**
 * Makes a disk larger, while it is in use: `geometry` says so when the new size is durable. What is new reads as zeros. Throws an
 * `ImageError` for a size that can't be; it never gets smaller.
 */
export function growVhdx(disk: VhdxDisk, virtualBytes: number): ImageJob {
  const { image } = disk
  const { metadata } = image
  const fail = (field: string, problem: string): never => {
    throw new ImageError(image.file.name, field, problem)
  }
  if (disk.geometry.readOnly) fail('', 'the image is only read')
  if (virtualBytes % metadata.logicalBytes !== 0 || virtualBytes > VIRTUAL_BYTES_MAX) {
    const problem = `${virtualBytes} bytes are not whole sectors of ${metadata.logicalBytes}, up to 64 TiB`
    fail('virtual disk size', problem)
  }
  if (virtualBytes < image.virtualBytes) {
    fail(
      'virtual disk size',
      `${virtualBytes} bytes are fewer than the ${image.virtualBytes} it has`,
    )
  }
  refuseParentShowing(image, virtualBytes)
  return new GrowJob(disk, virtualBytes)
}

/** What a larger parent has behind its child's end has never been the child's, and must not come up in it. Throws an `ImageError`. */
export function refuseParentShowing(image: VhdxImage, virtualBytes: number): void {
  const { parent } = image
  if (parent === null || virtualBytes <= image.virtualBytes) return
  if (parent.virtualBytes <= image.virtualBytes) return
  const problem = `its parent is larger, and what that has behind ${image.virtualBytes} bytes would show`
  throw new ImageError(image.file.name, 'virtual disk size', problem)
}

class GrowJob implements ImageJob {
  doneBytes = 0
  readonly totalBytes = 1
  readonly #alterations: Alterations

  constructor(disk: VhdxDisk, virtualBytes: number) {
    this.#alterations = new Alterations(disk)
    if (virtualBytes === disk.image.virtualBytes) return
    this.#alterations.order({
      field: 'virtual disk size',
      isVisible: true,
      needsEmptyLog: false,
      apply: (file) => grow(disk, file, virtualBytes),
      applied: () => disk.setVirtualBytes(virtualBytes),
    })
  }

  step(): boolean {
    if (!this.#alterations.poll()) return false
    this.doneBytes = this.totalBytes
    return true
  }
}

function grow(disk: VhdxDisk, file: BackingFile, virtualBytes: number): FileStatus {
  const { image, journal } = disk
  const { table, space, metadata } = image
  let status = zeroTail(disk, file)
  if (status !== FileStatus.OK) return status

  const blocks = Math.ceil(virtualBytes / table.blockBytes)
  const oldBlocks = table.blockCount
  const old = image.regions.bat
  const batMib = Math.ceil((table.entriesFor(blocks) * 8) / MIB)
  const moves = batMib > old.length / MIB
  const blockMib = table.blockBytes / MIB
  const fixedMib = metadata.leaveAllocated ? (blocks - oldBlocks) * blockMib : 0
  const fileMib = space.fileMib
  const endMib = fileMib + (moves ? batMib : 0) + fixedMib
  if (endMib >= FILE_MIB_MAX) return FileStatus.NO_SPACE
  status = file.resize(endMib * MIB)
  if (status !== FileStatus.OK) return status

  // Nothing leads to the new pages yet: they are written as they are. Only one that has old entries too goes through the log.
  const shared = table.pageCount
  const undo = table.grow(blocks, moves ? fileMib * MIB : old.offset)
  for (let at = 0; at < blocks - oldBlocks && metadata.leaveAllocated; at += 1) {
    const mib = endMib - fixedMib + at * blockMib
    table.place(table.indexOf(oldBlocks + at), mib, BlockState.FULLY_PRESENT)
  }
  status = writeTable(file, table, moves ? 0 : shared)
  if (status === FileStatus.OK) {
    const bat = moves ? { ...old, offset: fileMib * MIB, length: batMib * MIB } : old
    status = logGrowth(disk, file, virtualBytes, bat)
  }
  if (status !== FileStatus.OK) {
    undo()
    file.resize(fileMib * MIB)
    return status
  }
  space.takeEnd(endMib - fileMib)
  if (moves) {
    journal.free(old.offset / MIB, old.length / MIB)
    // An older entry would write to where the BAT was, which is something else's from now on.
    journal.renewLog()
  } else table.touch(shared - 1)
  return FileStatus.OK
}

/** Logs the new size, and where the BAT is now. */
function logGrowth(
  disk: VhdxDisk,
  file: BackingFile,
  virtualBytes: number,
  bat: Region,
): FileStatus {
  const { image, journal } = disk
  const size = new Uint8Array(8)
  writeU64(new DataView(size.buffer), 0, virtualBytes)
  const place = image.metadata.places.get(MetadataItem.VIRTUAL_DISK_SIZE)!
  const patches: Patch[] = [{ offset: place.offset, bytes: size }]
  const old = image.regions.bat
  if (bat !== old) {
    const all = image.regions.all.map((region) => (region === old ? bat : region))
    const bytes = encodeRegions(all)
    for (const offset of REGION_TABLE_OFFSETS) patches.push({ offset, bytes })
    const status = patchPages(file, journal, patches)
    if (status === FileStatus.OK) image.regions = { ...image.regions, bat, all }
    return status
  }
  return patchPages(file, journal, patches)
}

/** What lies in the last block beyond the old end becomes part of the disk: zeros, whatever another tool left there. */
function zeroTail(disk: VhdxDisk, file: BackingFile): FileStatus {
  const { image } = disk
  const { table } = image
  const used = image.virtualBytes % table.blockBytes
  if (used === 0) return FileStatus.OK
  const entry = table.entry(table.indexOf(table.blockCount - 1))
  const rest = table.blockBytes - used
  switch (entry & 7) {
    case BlockState.FULLY_PRESENT:
      return writeZeros(file, (entry >>> 3) * MIB + used, rest)
    case BlockState.PARTIALLY_PRESENT: {
      const sectorBytes = image.metadata.logicalBytes
      const first = image.virtualBytes / sectorBytes
      return image.bitmaps.fill(image.file, first, rest / sectorBytes, false)
    }
    default:
      return FileStatus.OK
  }
}
