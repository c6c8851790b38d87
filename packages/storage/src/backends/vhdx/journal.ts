// How changes of an image's structures become durable: headers, the log, and the order of syncs between them.
//
// A commit takes every page that changed since the last one, and then
//
//   1. syncs:     the data that the pages lead to, and what earlier entries wrote to its place, are on the medium
//   2. writes one log entry with the pages; all earlier entries have served
//   3. syncs:     from here on a power loss keeps the change, whole: this is when flushes are answered
//   4. writes the pages to their places; the next commit's first sync makes that durable
//
// A new log GUID makes all older entries void. It goes into the headers after an entry with it is durable (between 3 and 4), so that
// a log in use always has a whole entry. The ring is never wrapped under one GUID: where an entry doesn't fit before the ring's end,
// it begins again with a new GUID. QEMU 7.2 would go on from the newest entry to an old one behind it, and replay both.
//
// Space that a change frees is free when the entry with that change is durable: until then a power loss could bring the block back,
// and it must have its bytes.

import { assert } from '@guestyard/hvdef'
import { NIL_GUID } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

import { FileStatus, type BackingFile } from '../backing-file.ts'
import { MIB, SECTOR } from './format.ts'
import { HeaderPair, type HeaderGuids, type HeaderValues } from './header.ts'
import type { VhdxImage } from './image.ts'
import { ENTRY_PAGES_MAX, encodeLogEntry, entryBytes } from './log-entry.ts'
import { writeReplay } from './replayed-file.ts'

/** What is waited for: the sync named here. */
type State =
  | { readonly is: 'idle' }
  | { readonly is: 'header'; readonly copy: 1 | 2; readonly before: AfterHeaders }
  | { readonly is: 'replay' } //  what the log of a crash said is in its place
  | { readonly is: 'data' } //    step 1 of a commit
  | { readonly is: 'entry' } //   step 3
  | { readonly is: 'settle' } //  before the log is emptied: the last pages are in their places

/** What the headers are written for, and comes after them. */
type AfterHeaders = 'begun' | 'replayed' | 'logged' | 'emptied'

/** Where a commit stopped because the host had no room; the next attempt goes on there. */
type Stalled = 'no' | 'entry' | 'pages'

/** Pages that no table keeps: items of the metadata, and region tables. */
interface LoosePage {
  readonly offset: number
  readonly bytes: Uint8Array
}

export class Journal {
  readonly #file: BackingFile
  readonly #image: VhdxImage
  readonly #headers: HeaderPair
  readonly #newGuid: () => Guid
  #state: State = { is: 'idle' }
  #ticket = 0
  #begun = false
  #dataBegun = false
  /** What `begin` was called for. */
  #beginsData = false
  #replayed: boolean

  /** The commit under way: its pages, where they belong, how many. */
  #pages: Uint8Array = new Uint8Array(0)
  readonly #offsets = new Float64Array(ENTRY_PAGES_MAX)
  #count = 0
  #entry: Uint8Array = new Uint8Array(0)
  #flushedBytes = 0
  #lastBytes = 0
  #stalled: Stalled = 'no'

  /** Where the next entry goes, and the last one, which must stay whole until the next is durable. */
  #head = 0
  #sequence = 0
  #entryAt = 0
  #entryGuid: Guid = NIL_GUID
  #renew = true

  #loose: LoosePage[] = []
  /** Pairs of MiB and count: freed since the last commit began, and by the commit under way. */
  #freed: number[] = []
  #freeing: number[] = []

  /** What became of the last `begin`, `commit` or `empty`. */
  outcome: FileStatus = FileStatus.OK
  /** A sync failed: nobody knows what the medium has, so nothing is written any more. */
  failed = false

  constructor(file: BackingFile, image: VhdxImage, newGuid: () => Guid) {
    this.#file = file
    this.#image = image
    this.#headers = new HeaderPair(image.structures.headers)
    this.#replayed = image.structures.replay === null
    this.#newGuid = newGuid
  }

  get idle(): boolean {
    return this.#state.is === 'idle'
  }

  /** The headers tell of this session's changes, the log of a crash is replayed: structures may be written. */
  get begun(): boolean {
    return this.#begun && this.#replayed
  }

  /** And guest data may be. */
  get dataBegun(): boolean {
    return this.begun && this.#dataBegun
  }

  get header(): HeaderValues {
    return this.#headers.current
  }

  /** A commit is held up; `commit` goes on with it. */
  get stalled(): boolean {
    return this.#stalled !== 'no'
  }

  /** Pages that changed since the last commit began. */
  get dirtyPages(): number {
    return this.#image.table.dirtyPages + this.#image.bitmaps.dirtyPages + this.#loose.length
  }

  /** Space that nothing leads to any more; free when a commit from now on is durable. */
  free(mib: number, count: number): void {
    this.#freed.push(mib, count)
  }

  /** A page of 4 KiB of the file to be changed with the next commit. */
  logPage(offset: number, bytes: Uint8Array): void {
    this.#loose.push({ offset, bytes })
  }

  /** The next entry makes older ones void: one of them writes where something else will be. */
  renewLog(): void {
    this.#renew = true
  }

  /**
   * Begins to write new GUIDs into both headers, and then replays the log of a crash. With `dataGuid`, guest data may change
   * afterwards, and that is what they are called then.
   */
  begin(dataGuid: Guid | null): void {
    assert(this.idle && !this.failed, 'One thing after the other.')
    const guids: Partial<HeaderGuids> = {
      ...(this.#begun ? {} : { fileWriteGuid: this.#newGuid() }),
      ...(dataGuid === null ? {} : { dataWriteGuid: dataGuid }),
    }
    this.#beginsData = dataGuid !== null
    this.#writeHeader(1, 'begun', guids)
  }

  newGuid(): Guid {
    return this.#newGuid()
  }

  /** Begins a commit, or goes on with one that is held up. */
  commit(): void {
    assert(this.idle && !this.failed, 'One thing after the other.')
    if (this.#stalled === 'no') this.#take()
    this.#sync({ is: 'data' })
  }

  /** Begins to empty the log, after a commit. */
  empty(): void {
    assert(this.idle && !this.failed && !this.stalled, 'One thing after the other.')
    assert(this.dirtyPages === 0, 'Changes are committed before the log is emptied.')
    if (!this.begun || this.header.logGuid === NIL_GUID) this.#end(FileStatus.OK)
    else this.#sync({ is: 'settle' })
  }

  /** Goes on as far as syncs allow. True when nothing is under way (any more). */
  advance(): boolean {
    while (this.#state.is !== 'idle') {
      const status = this.#file.syncStatus(this.#ticket)
      if (status === FileStatus.PENDING) return false
      if (status === FileStatus.OK) this.#synced(this.#state)
      else {
        this.failed = true
        this.#end(status)
      }
    }
    return true
  }

  #synced(state: Exclude<State, { is: 'idle' }>): void {
    switch (state.is) {
      case 'header':
        if (state.copy === 1) this.#writeHeader(2, state.before, {})
        else this.#headersWritten(state.before)
        return
      case 'replay':
        this.#writeHeader(1, 'replayed', { logGuid: NIL_GUID })
        return
      case 'data':
        this.#dataSynced()
        return
      case 'entry':
        if (this.header.logGuid === this.#entryGuid) this.#logged()
        else this.#writeHeader(1, 'logged', { logGuid: this.#entryGuid })
        return
      case 'settle':
        this.#writeHeader(1, 'emptied', { logGuid: NIL_GUID })
    }
  }

  #headersWritten(before: AfterHeaders): void {
    switch (before) {
      case 'begun':
        this.#begun = true
        this.#dataBegun ||= this.#beginsData
        if (this.#replayed) this.#end(FileStatus.OK)
        else this.#replay()
        return
      case 'replayed':
        this.#replayed = true
        this.#image.file = this.#file
        this.#end(FileStatus.OK)
        return
      case 'logged':
        this.#logged()
        return
      case 'emptied':
        this.#head = 0
        this.#renew = true
        this.#end(FileStatus.OK)
    }
  }

  #replay(): void {
    const { replay } = this.#image.structures
    assert(replay !== null, 'A log that is not replayed has something to replay.')
    const status = writeReplay(this.#file, replay)
    if (status === FileStatus.OK) this.#sync({ is: 'replay' })
    else this.#end(status)
  }

  /** Takes the changed pages, as they are now. Memory may change further: that is the next commit's. */
  #take(): void {
    assert(this.dirtyPages <= ENTRY_PAGES_MAX, 'A commit is one entry.')
    assert(this.#freeing.length === 0, 'What the last commit freed is free.')
    if (this.#pages.length === 0 && this.dirtyPages > 0) {
      this.#pages = new Uint8Array(ENTRY_PAGES_MAX * SECTOR)
      this.#entry = new Uint8Array(entryBytes(ENTRY_PAGES_MAX))
    }
    let count = this.#image.table.takeDirty(this.#pages, this.#offsets, 0)
    count = this.#image.bitmaps.takeDirty(this.#pages, this.#offsets, count)
    for (const page of this.#loose) {
      this.#pages.set(page.bytes, count * SECTOR)
      this.#offsets[count] = page.offset
      count += 1
    }
    this.#loose = []
    this.#count = count
    this.#freeing = this.#freed
    this.#freed = []
    this.#flushedBytes = Math.floor(this.#file.sizeBytes / MIB) * MIB
    this.#lastBytes = this.#image.space.usedEndMib * MIB
  }

  #dataSynced(): void {
    if (this.#stalled === 'pages') this.#writePages()
    else if (this.#count === 0) this.#end(FileStatus.OK)
    else this.#writeEntry()
  }

  #writeEntry(): void {
    const { logOffset, logLength, logGuid } = this.header
    const bytes = entryBytes(this.#count)
    const fits = this.#head + bytes <= logLength
    const renew = this.#renew || !fits || logGuid === NIL_GUID
    // Entries are at most a third of the log. One that doesn't fit behind the last leaves that one beyond the first third.
    const at = fits ? this.#head : 0
    this.#entryGuid = renew ? this.#newGuid() : logGuid
    const sequence = renew ? 1 : this.#sequence + 1
    const values = {
      logGuid: this.#entryGuid,
      at,
      sequence,
      flushedBytes: this.#flushedBytes,
      lastBytes: this.#lastBytes,
    }
    encodeLogEntry(this.#entry, values, this.#pages, this.#offsets, this.#count)
    const status = this.#file.write(logOffset + at, this.#entry, 0, bytes)
    this.#stalled = 'entry'
    if (status !== FileStatus.OK) {
      this.#end(status)
      return
    }
    this.#entryAt = at
    this.#sequence = sequence
    this.#sync({ is: 'entry' })
  }

  /** The entry is durable, and valid: whatever happens from here on, the change stays. */
  #logged(): void {
    this.#renew = false
    this.#head = this.#entryAt + entryBytes(this.#count)
    for (let at = 0; at < this.#freeing.length; at += 2) {
      this.#image.space.release(this.#freeing[at]!, this.#freeing[at + 1]!)
    }
    this.#freeing = []
    this.#stalled = 'pages'
    this.#writePages()
  }

  /** Step 4. Flushes are done with OK even if the host has no room here: the log has it. */
  #writePages(): void {
    const again = this.#state.is === 'data'
    for (let row = 0; row < this.#count; row += 1) {
      const offset = this.#offsets[row]!
      const status = this.#file.write(offset, this.#pages, row * SECTOR, SECTOR)
      if (status !== FileStatus.OK) {
        this.#end(again ? status : FileStatus.OK)
        return
      }
    }
    this.#image.bitmaps.arrived()
    this.#count = 0
    this.#stalled = 'no'
    this.#end(FileStatus.OK)
  }

  #writeHeader(copy: 1 | 2, before: AfterHeaders, guids: Partial<HeaderGuids>): void {
    const status = this.#headers.write(this.#file, guids)
    if (status === FileStatus.OK) this.#sync({ is: 'header', copy, before })
    else this.#end(status)
  }

  #sync(state: State): void {
    this.#ticket = this.#file.sync()
    this.#state = state
  }

  #end(outcome: FileStatus): void {
    this.outcome = outcome
    this.#state = { is: 'idle' }
  }
}
