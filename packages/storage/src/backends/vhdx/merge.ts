// Merging a child into its parent: the parent then has what the child showed, and the child is not needed any more.
//
//   1. the child notes (parent_linkage2) what the parent's data will be called      so that the two fit together at any time:
//   2. the parent's headers get that name, when its first block is written          stopped, or without power, the child still
//   3. what the child has itself is written to the parent                           shows the same, whatever the parent has of it
//   4. the parent takes over the disk's name, and is flushed
//
// MS-VHDX 2.6.2.6.3, note 12; 2.6.1.2 for the metadata.

import type { Guid } from '@guestyard/hvdef'

import type { BackingFile } from '../backing-file.ts'
import { DiskOperation, DiskRequest, DiskStatus, type Disk } from '../disk.ts'
import { ImageError, type ImageJob } from '../image.ts'
import { Alterations, problemOf } from './alterations.ts'
import { openVhdx, openVhdxAlone, type VhdxDisk, type VhdxOpenOptions } from './disk.ts'
import { BlockState, MIB, MetadataItem } from './format.ts'
import { growVhdx, refuseParentShowing } from './grow.ts'
import { closeChain, readStructures } from './image.ts'
import { patchPages } from './loose-pages.ts'
import { planItem, type ItemPlan } from './metadata-room.ts'
import { encodeParentLocator, type ParentReference } from './parent-locator.ts'

/** Bytes that one step copies at most. */
const STEP_BYTES = 4 * MIB

/**
 * Merges a child into its parent, both open for writing, which nobody else uses meanwhile. `openParent` finds the parents of the
 * parent. Both files are closed when it is done, and the child is to be removed then. Stopped between two steps, the chain is as whole
 * as before, and the merge may be begun again. Throws an `ImageError`.
 */
export function mergeVhdx(
  child: BackingFile,
  parent: BackingFile,
  options: Omit<VhdxOpenOptions, 'dataWriteGuid'>,
): ImageJob {
  const childDisk = openVhdxAlone(child, options)
  const reference = childDisk.image.metadata.parent
  if (reference === null) throw new ImageError(child.name, '', 'the image has no parent')
  const name = readStructures(parent).headers.current.dataWriteGuid
  if (name !== reference.linkage && name !== reference.linkage2) {
    const problem = `the data of ${parent.name} are ${name}, not ${reference.linkage}`
    throw new ImageError(child.name, 'parent locator: parent_linkage', problem)
  }
  const dataWriteGuid = reference.linkage2 ?? options.newGuid()
  const parentDisk = openVhdx(parent, { ...options, dataWriteGuid })
  try {
    refuseParentShowing(parentDisk.image, childDisk.image.virtualBytes)
  } catch (error) {
    closeChain(parentDisk.image.parent)
    throw error
  }
  return new MergeJob(childDisk, parentDisk, reference, dataWriteGuid)
}

type Phase = 'link' | 'grow' | 'copy' | 'name' | 'close' | 'done'

class MergeJob implements ImageJob {
  readonly totalBytes: number
  doneBytes = 0
  readonly #child: VhdxDisk
  readonly #parent: VhdxDisk
  readonly #link: ItemPlan | null
  readonly #childWork: Alterations
  readonly #parentWork: Alterations
  readonly #request = new DiskRequest(1)
  readonly #buffer = new Uint8Array(STEP_BYTES)
  #phase: Phase = 'link'
  #grow: ImageJob | null = null
  /** The virtual offset up to which all is done. */
  #offset = 0

  constructor(child: VhdxDisk, parent: VhdxDisk, reference: ParentReference, dataName: Guid) {
    this.#child = child
    this.#parent = parent
    this.#childWork = new Alterations(child)
    this.#parentWork = new Alterations(parent)
    this.totalBytes = child.image.virtualBytes
    const locator = encodeParentLocator({ ...reference, linkage2: dataName })
    const region = child.image.regions.metadata
    this.#link =
      reference.linkage2 === dataName
        ? null
        : planItem(child.image.file, region, MetadataItem.PARENT_LOCATOR, locator)
  }

  step(): boolean {
    if (!this.#childWork.poll() || !this.#parentWork.poll()) return false
    if (this.#request.status === DiskStatus.PENDING) this.#parent.poll(64)
    if (this.#request.status === DiskStatus.PENDING) return false
    this.#expectOk(this.#parent)
    switch (this.#phase) {
      case 'link':
        this.#phase = 'grow'
        this.#orderLink()
        return false
      case 'grow':
        this.#growParent()
        return false
      case 'copy':
        this.#copy()
        return false
      case 'name':
        this.#phase = 'close'
        this.#orderName()
        return false
      case 'close':
        if (isClosed(this.#parent) && isClosed(this.#child)) this.#phase = 'done'
        return this.#phase === 'done'
      case 'done':
        return true
    }
  }

  #orderLink(): void {
    const plan = this.#link
    if (plan === null) return
    this.#childWork.order({
      field: 'parent locator',
      isVisible: false,
      needsEmptyLog: false,
      apply: (file) => plan.apply(file, this.#child.journal),
      applied: nothing,
    })
  }

  #growParent(): void {
    const { virtualBytes } = this.#child.image
    if (virtualBytes > this.#parent.image.virtualBytes) {
      this.#grow ??= growVhdx(this.#parent, virtualBytes)
      if (!this.#grow.step()) return
    }
    this.#phase = 'copy'
  }

  /** Brings the next sectors that the child has itself to the parent. */
  #copy(): void {
    const { image } = this.#child
    const { table } = image
    while (this.#offset < image.virtualBytes) {
      const block = Math.floor(this.#offset / table.blockBytes)
      const end = Math.min((block + 1) * table.blockBytes, image.virtualBytes)
      const left = end - this.#offset
      switch (table.entry(table.indexOf(block)) & 7) {
        case BlockState.NOT_PRESENT:
          this.#advance(left)
          continue
        case BlockState.FULLY_PRESENT:
          this.#transfer(Math.min(left, STEP_BYTES))
          return
        case BlockState.PARTIALLY_PRESENT:
          if (this.#copyPartial(left)) return
          continue
        default:
          this.#submit(this.#parent, DiskOperation.WRITE_ZEROES, left)
          this.#advance(left)
          return
      }
    }
    this.#phase = 'name'
  }

  /** True when it has something to write, false when the next sectors are the parent's. */
  #copyPartial(left: number): boolean {
    const { image } = this.#child
    const sectorBytes = image.metadata.logicalBytes
    const sector = this.#offset / sectorBytes
    const run = image.bitmaps.run(image.file, sector, Math.min(left, STEP_BYTES) / sectorBytes)
    if (run === 0) throw new ImageError(image.file.name, 'sector bitmap', "it can't be read")
    if (run > 0) this.#transfer(run * sectorBytes)
    else this.#advance(-run * sectorBytes)
    return run > 0
  }

  #transfer(bytes: number): void {
    this.#submit(this.#child, DiskOperation.READ, bytes)
    this.#expectOk(this.#child)
    this.#submit(this.#parent, DiskOperation.WRITE, bytes)
    this.#advance(bytes)
  }

  #submit(disk: Disk, operation: DiskOperation, bytes: number): void {
    const request = this.#request
    const sectorBytes = disk.geometry.logicalBlockBytes
    request.operation = operation
    request.block = this.#offset / sectorBytes
    request.blockCount = bytes / sectorBytes
    request.data.beginBytes(this.#buffer)
    if (operation !== DiskOperation.WRITE_ZEROES) request.data.add(0, bytes)
    disk.submit(request)
  }

  #expectOk(disk: VhdxDisk): void {
    const { status } = this.#request
    if (status === DiskStatus.OK) return
    throw new ImageError(disk.file.name, `offset ${this.#offset}`, problemOf(disk, status))
  }

  #advance(bytes: number): void {
    this.#offset += bytes
    this.doneBytes = this.#offset
  }

  /** What names the disk is the child's (2.6.1.2); with this commit all that was copied is durable. */
  #orderName(): void {
    const { metadata } = this.#child.image
    const { places } = this.#parent.image.metadata
    const physical = new Uint8Array(4)
    new DataView(physical.buffer).setUint32(0, metadata.physicalBytes, true)
    this.#parentWork.order({
      field: 'virtual disk id',
      isVisible: true,
      needsEmptyLog: false,
      apply: (file) =>
        patchPages(file, this.#parent.journal, [
          { offset: places.get(MetadataItem.VIRTUAL_DISK_ID)!.offset, bytes: metadata.diskId },
          { offset: places.get(MetadataItem.PHYSICAL_SECTOR_SIZE)!.offset, bytes: physical },
        ]),
      applied: nothing,
    })
  }
}

/** Closes a disk. True when that is done; throws an `ImageError` when not all is durable. */
function isClosed(disk: VhdxDisk): boolean {
  disk.close()
  disk.poll(64)
  if (!disk.closed) return false
  if (disk.closeStatus === DiskStatus.OK) return true
  throw new ImageError(disk.file.name, '', problemOf(disk, disk.closeStatus))
}

function nothing(): void {}
