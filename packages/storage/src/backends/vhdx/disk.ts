// HOT
// A VHDX image as a disk: which request can go on now, and what each one waits for.
//
//   READ                 done at once: the page cache has it, or the host reads
//   WRITE, UNMAP, ...    at once, unless the headers must be written first, or a commit, since one takes so many pages only;
//                        then they wait in a queue, in order
//   FLUSH, durable       until a commit that began after them has ended; all that wait share one

import { NIL_GUID, assert, type Guid } from '@guestyard/hvdef'

import { admit } from '../admission.ts'
import { FileStatus, type BackingFile } from '../backing-file.ts'
import { DiskOperation, DiskStatus, type DiskGeometry, type DiskRequest } from '../disk.ts'
import { diskStatusOf } from '../file-status.ts'
import { ImageError } from '../image.ts'
import { PieceWalk } from '../piece-walk.ts'
import { RequestQueue } from '../request-queue.ts'
import type { SparseDisk } from '../sparse-disk.ts'
import type { Alteration, AlterationState } from './alteration.ts'
import { BlockWriter } from './block-writer.ts'
import { hasSequenceRoom } from './header.ts'
import { VhdxImage, closeChain, openParents, readStructures, type OpenParent } from './image.ts'
import { Journal } from './journal.ts'
import { nextData } from './next-data.ts'

export interface VhdxOpenOptions {
  /** A new random GUID, for headers and logs. Drawn when a file is written. */
  readonly newGuid: () => Guid
  /** Finds and opens the parent of a differencing image, for reading. Without it, such an image is refused. */
  readonly openParent?: OpenParent
  /** What the data are called once they are changed, instead of a new GUID: a merge has promised it to the child. */
  readonly dataWriteGuid?: Guid
}

/**
 * Opens an image. A read-only file is never written: a log that must be replayed is replayed in memory. Any other is written first
 * when there is something to write, or a log to replay. Throws an `ImageError`, and has then written nothing; the file stays the
 * caller's. On success the disk closes it, and its parents.
 */
export function openVhdx(file: BackingFile, options: VhdxOpenOptions): VhdxDisk {
  const structures = readStructures(file)
  if (!file.readOnly && !hasSequenceRoom(structures.headers.current)) {
    throw new ImageError(file.name, 'header: sequence number', 'no later one is left to write')
  }
  const parent = openParents(structures, options.openParent)
  try {
    return new VhdxDisk(file, new VhdxImage(structures, parent), options)
  } catch (error) {
    closeChain(parent)
    throw error
  }
}

/** Opens a differencing image without its parent: only what it has itself may be read. Throws as `openVhdx` does. */
export function openVhdxAlone(file: BackingFile, options: VhdxOpenOptions): VhdxDisk {
  return new VhdxDisk(file, new VhdxImage(readStructures(file), null), options)
}

/**
 * What one call does at most, in what BlockWriter says that its steps cost: a poll as much as its budget, and a request that comes
 * no more than the largest write of a guest needs, since hundreds may come before the next poll.
 */
const WORK_MAX = 1024
const WORK_AT_ONCE = 17

export class VhdxDisk implements SparseDisk {
  readonly image: VhdxImage
  readonly journal: Journal
  readonly writer: BlockWriter
  /** For the jobs of this folder, as the three above are. */
  readonly file: BackingFile
  readonly #pieces = new PieceWalk()
  readonly #sectorBytes: number
  readonly #dataWriteGuid: Guid | null
  #geometry: DiskGeometry
  /** Writes that wait; `#doneBytes` of the first are done. */
  readonly #queue = new RequestQueue()
  #doneBytes = 0
  /** What this call may do yet. */
  #workLeft = 0
  /** Flushes and durable writes: for the next commit, and of the one under way. */
  readonly #waiting = new RequestQueue()
  readonly #covered = new RequestQueue()
  /** What the journal does now. */
  #doing: 'nothing' | 'begin' | 'commit' | 'empty' = 'nothing'
  /** The file was written since the last commit began. */
  #unsynced = false
  /** The queue's first needs a commit before it. */
  #needsCommit = false
  /** Requests that ended and that no `poll` has counted yet. */
  #ended = 0
  /** Ordered and not begun, and the one whose commit is under way. Writes wait while there is one. */
  #alteration: AlterationState | null = null
  #altering: AlterationState | null = null
  #closing: 'no' | 'yes' | 'done' = 'no'
  #closeStatus: DiskStatus = DiskStatus.OK

  constructor(file: BackingFile, image: VhdxImage, options: VhdxOpenOptions) {
    this.file = file
    this.image = image
    this.journal = new Journal(file, image, options.newGuid)
    this.writer = new BlockWriter(image, file, this.journal)
    this.#dataWriteGuid = options.dataWriteGuid ?? null
    const { metadata } = image
    this.#sectorBytes = metadata.logicalBytes
    this.#geometry = {
      logicalBlockBytes: metadata.logicalBytes,
      // A file may say 4096 and 512: a sector holds whole blocks all the same.
      physicalBlockBytes: metadata.logicalBytes === 4096 ? 4096 : metadata.physicalBytes,
      blockCount: metadata.virtualBytes / metadata.logicalBytes,
      readOnly: file.readOnly,
      canUnmap: !file.readOnly && !metadata.leaveAllocated,
      unmapReadsZeros: true,
      uniqueId: metadata.diskId,
    }
    if (!file.readOnly && image.structures.replay !== null) this.#begin(null)
    this.#pump()
  }

  get geometry(): DiskGeometry {
    return this.#geometry
  }

  /** What the data are called now: a child made of this image has it for its `parent_linkage`. */
  get dataWriteGuid(): Guid {
    return this.journal.header.dataWriteGuid
  }

  submit(request: DiskRequest): void {
    request.status = this.#refusal(request)
    if (request.status !== DiskStatus.OK) return
    if (request.operation === DiskOperation.FLUSH) {
      this.#flush(request)
      return
    }
    if (request.blockCount === 0) return
    if (request.operation === DiskOperation.READ) {
      this.#pieces.begin(request.data)
      const at = request.block * this.#sectorBytes
      const status = this.image.read(at, request.blockCount * this.#sectorBytes, this.#pieces)
      if (status !== FileStatus.OK) request.status = DiskStatus.READ_ERROR
      return
    }
    request.status = DiskStatus.PENDING
    const isNext = this.#queue.head === null
    this.#queue.push(request)
    if (!isNext) return
    this.#pump()
    if (request.status !== DiskStatus.PENDING) this.#ended -= 1
  }

  poll(budget: number): number {
    this.advance(budget)
    const ended = this.#ended
    this.#ended = 0
    return ended
  }

  /** Goes on as `poll` does, and leaves it to that to count who ended: for jobs, beside the device that polls. */
  advance(budget: number): void {
    this.#pump(Math.max(1, budget))
  }

  /** 0 while there is work that waits for nobody; else Infinity: the file wakes whoever polls. */
  nextDeadlineMs(): number {
    const isHeld = this.#needsCommit || this.#alteration !== null || !this.journal.dataBegun
    const isRunnable = this.#queue.head !== null && !isHeld
    return isRunnable ? 0 : Infinity
  }

  abort(request: DiskRequest): void {
    if (request.status !== DiskStatus.PENDING) return
    const isFirst = this.#queue.head === request
    if (this.#queue.remove(request)) {
      if (isFirst) this.#beginNext()
    } else if (!this.#waiting.remove(request) && !this.#covered.remove(request)) return
    request.status = DiskStatus.ABORTED
  }

  close(): void {
    if (this.#closing !== 'no') return
    this.#closing = 'yes'
    this.#endAll(this.#queue, DiskStatus.ABORTED)
    this.#beginNext()
    this.#endAlterations(DiskStatus.ABORTED)
    this.#pump()
  }

  nextData(block: number): number {
    return Math.min(nextData(this.image, block), this.#geometry.blockCount)
  }

  get closed(): boolean {
    return this.#closing === 'done'
  }

  get closeStatus(): DiskStatus {
    return this.#closeStatus
  }

  /** The image has more blocks: what `growVhdx` calls when it is so. */
  setVirtualBytes(virtualBytes: number): void {
    this.image.virtualBytes = virtualBytes
    this.#geometry = { ...this.#geometry, blockCount: virtualBytes / this.#sectorBytes }
  }

  /** Orders an alteration, which is done in later polls. One at a time. */
  alter(alteration: Alteration): AlterationState {
    assert(this.#alteration === null && this.#altering === null, 'One alteration after the other.')
    const state: AlterationState = { alteration, status: DiskStatus.PENDING }
    if (this.#geometry.readOnly) state.status = DiskStatus.READ_ONLY
    else if (this.#closing !== 'no') state.status = DiskStatus.ABORTED
    else if (this.journal.failed) state.status = DiskStatus.WRITE_ERROR
    else this.#alteration = state
    return state
  }

  #refusal(request: DiskRequest): DiskStatus {
    if (this.#closing !== 'no') return DiskStatus.ABORTED
    const status = admit(this.#geometry, request)
    if (status !== DiskStatus.OK || request.operation === DiskOperation.READ) return status
    return this.journal.failed ? DiskStatus.WRITE_ERROR : DiskStatus.OK
  }

  #flush(request: DiskRequest): void {
    if (!this.#isUnsaved) return
    request.status = DiskStatus.PENDING
    this.#waiting.push(request)
    this.#pump()
    if (request.status !== DiskStatus.PENDING) this.#ended -= 1
  }

  /** Something was written that no finished commit has. */
  get #isUnsaved(): boolean {
    return this.#unsynced || this.journal.dirtyPages > 0 || this.#doing === 'commit'
  }

  /** Does what can be done now. */
  #pump(work = WORK_AT_ONCE): void {
    this.#workLeft = Math.min(work, WORK_MAX)
    for (;;) {
      if (!this.journal.advance()) {
        // A sync is under way. What doesn't wait for it goes on.
        if (this.#doing === 'begin' || this.#needsCommit) return
        if (this.#alteration === null) this.#runQueue()
        return
      }
      if (this.#doing !== 'nothing') {
        this.#journalEnded()
        continue
      }
      if (this.journal.failed) {
        this.#fail()
        return
      }
      if (this.#alteration !== null) {
        this.#alter(this.#alteration)
        continue
      }
      if (this.#queue.head !== null && !this.journal.dataBegun) {
        this.#begin(this.#dataWriteGuid ?? this.journal.newGuid())
        continue
      }
      if (!this.#needsCommit) this.#runQueue()
      if (this.#waiting.head !== null || this.#needsCommit) {
        this.#commit()
        continue
      }
      if (this.#closing === 'no' || this.#closing === 'done') return
      this.#close()
    }
  }

  /** The next thing to be done for an alteration. */
  #alter(state: AlterationState): void {
    const { alteration } = state
    const { journal } = this
    if (alteration.isVisible ? !journal.dataBegun : !journal.begun) {
      this.#begin(alteration.isVisible ? (this.#dataWriteGuid ?? journal.newGuid()) : null)
      return
    }
    if (journal.stalled || journal.dirtyPages > 0) {
      this.#commit()
      return
    }
    if (alteration.needsEmptyLog && journal.header.logGuid !== NIL_GUID) {
      this.#doing = 'empty'
      journal.empty()
      return
    }
    this.#alteration = null
    state.status = diskStatusOf(alteration.apply(this.file))
    if (state.status !== DiskStatus.OK) return
    state.status = DiskStatus.PENDING
    this.#altering = state
    this.#commit()
  }

  #endAlterations(status: DiskStatus): void {
    if (this.#alteration !== null) this.#alteration.status = status
    if (this.#altering !== null) this.#altering.status = status
    this.#alteration = null
    this.#altering = null
  }

  #begin(dataGuid: Guid | null): void {
    this.#doing = 'begin'
    this.journal.begin(dataGuid)
  }

  #commit(): void {
    this.#doing = 'commit'
    // One that was held up has pages of its own, and covers nobody who came later.
    if (!this.journal.stalled) {
      this.#covered.takeAll(this.#waiting)
      this.#unsynced = false
      this.#needsCommit = false
    }
    this.journal.commit()
  }

  /** What the journal did has ended, for good or ill. */
  #journalEnded(): void {
    const doing = this.#doing
    const { outcome } = this.journal
    this.#doing = 'nothing'
    if (this.journal.failed) return
    const isOk = outcome === FileStatus.OK
    if (!isOk) this.#endAlterations(diskStatusOf(outcome))
    if (doing === 'begin' && !isOk) {
      this.#endAll(this.#queue, diskStatusOf(outcome))
      this.#beginNext()
      if (this.#closing !== 'no') this.#closeWith(diskStatusOf(outcome))
    } else if (doing === 'commit') {
      if (isOk) {
        this.#endAll(this.#covered, DiskStatus.OK)
        const altered = this.#altering
        this.#altering = null
        if (altered === null) return
        altered.status = DiskStatus.OK
        altered.alteration.applied()
        return
      }
      this.#unsynced = true
      this.#endAll(this.#covered, diskStatusOf(outcome))
      this.#endAll(this.#waiting, diskStatusOf(outcome))
      if (this.#needsCommit) this.#endAll(this.#queue, diskStatusOf(outcome))
      this.#needsCommit = false
      this.#beginNext()
      if (this.#closing !== 'no') this.#closeWith(diskStatusOf(outcome))
    } else if (doing === 'empty' && this.#closing !== 'no') {
      this.#closeWith(isOk ? DiskStatus.OK : diskStatusOf(outcome))
    }
  }

  /** A sync failed: whoever waits is told, and nothing is written any more. */
  #fail(): void {
    this.#needsCommit = false
    this.#beginNext()
    this.#endAlterations(DiskStatus.WRITE_ERROR)
    this.#endAll(this.#queue, DiskStatus.WRITE_ERROR)
    this.#endAll(this.#covered, DiskStatus.WRITE_ERROR)
    this.#endAll(this.#waiting, DiskStatus.WRITE_ERROR)
    if (this.#closing !== 'no') this.#closeWith(DiskStatus.WRITE_ERROR)
  }

  /** Goes on with the queue, in order, as far as that is possible now. */
  #runQueue(): void {
    for (let request = this.#queue.head; request !== null; request = this.#queue.head) {
      if (!this.journal.dataBegun || this.#workLeft <= 0) return
      const status = this.#run(request)
      if (status === DiskStatus.PENDING) return
      this.#queue.shift()
      this.#beginNext()
      if (status === DiskStatus.OK && request.durable) {
        this.#waiting.push(request)
        continue
      }
      request.status = status
      this.#ended += 1
    }
  }

  /** The queue's first is another one, of which nothing is done. */
  #beginNext(): void {
    this.#doneBytes = 0
    this.writer.abandon()
  }

  /** Goes on with one request. PENDING: a commit must come first, or this call has done enough. HOT. */
  #run(request: DiskRequest): DiskStatus {
    const total = request.blockCount * this.#sectorBytes
    const start = request.block * this.#sectorBytes
    const isWrite = request.operation === DiskOperation.WRITE
    if (isWrite) {
      this.#pieces.begin(request.data)
      this.#pieces.skip(this.#doneBytes)
    }
    this.#unsynced = true
    while (this.#doneBytes < total) {
      if (!this.writer.hasRoom) {
        this.#needsCommit = true
        return DiskStatus.PENDING
      }
      if (this.#workLeft <= 0) return DiskStatus.PENDING
      const at = start + this.#doneBytes
      const status = isWrite
        ? this.writer.write(at, total - this.#doneBytes, this.#pieces)
        : this.writer.zero(at, total - this.#doneBytes)
      if (status !== FileStatus.OK) return diskStatusOf(status)
      this.#doneBytes += this.writer.doneBytes
      this.#workLeft -= this.writer.doneWork
    }
    return DiskStatus.OK
  }

  /** The next thing to be done before the file is closed. */
  #close(): void {
    if (this.#isUnsaved || this.journal.stalled) {
      this.#commit()
      return
    }
    this.#doing = 'empty'
    this.journal.empty()
  }

  #closeWith(status: DiskStatus): void {
    if (this.#closing === 'done') return
    this.#closing = 'done'
    this.#closeStatus = status
    this.#endAll(this.#waiting, status)
    this.file.close()
    closeChain(this.image.parent)
  }

  #endAll(list: RequestQueue, status: DiskStatus): void {
    this.#ended += list.endAll(status)
  }
}
