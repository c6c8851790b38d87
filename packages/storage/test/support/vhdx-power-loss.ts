// A random workload on a VHDX image, and what a power loss at any of its changes may leave of it.
//
// Every sector of 512 bytes that the workload touches has a history: what was written there, in order. After a cut it must hold what
// the last acknowledged flush covers, or something that was written later and before the cut; never anything else. Sectors that lie
// at the same places of blocks which were never written are looked at as well: old bytes of other blocks would show there.

import {
  DiskOperation,
  DiskRequest,
  DiskStatus,
  checkVhdx,
  growVhdx,
  openVhdx,
} from '@guestyard/storage'
import type { Disk, ImageJob, VhdxCreateOptions, VhdxDisk } from '@guestyard/storage'

import { seeded } from './seeded.ts'
import { PowerCord, SparseFile, type SparseBytes } from './sparse-file.ts'
import {
  MIB,
  close,
  newGuid,
  newImage,
  openCopy,
  parentsOf,
  read,
  referenceTo,
} from './vhdx-images.ts'
import { write } from './vhdx-images.ts'

const BLOCKS = 12
const GROWN_BLOCKS = 131_100
const SECTOR = 512
/** Where in each block the workload writes: runs of 16 sectors. */
const PLACES = [0, 300 * 1024, MIB - 8192] as const
const RUN = 16

export interface PowerLossOptions {
  readonly seed: number
  readonly steps: number
  /** `growing`: a dynamic image that gets larger meanwhile, so that its BAT moves. */
  readonly kind: 'dynamic' | 'fixed' | 'differencing' | 'growing'
  /** Syncs take a while, and the workload goes on meanwhile. */
  readonly slowSyncs: boolean
  /** Called with some of the files that were found after a cut. */
  readonly onFound?: (found: SparseBytes) => void
}

interface Write {
  /** Changes of the file that were made before it was submitted. */
  readonly at: number
  readonly sector: number
  readonly content: number
  /** Changes that were made before something acknowledged that it is durable. */
  durableAt: number
}

/** Runs the workload and cuts after each change. How many cuts there were. Throws an error that tells what was wrong. */
export function losePower(options: PowerLossOptions): number {
  const chance = seeded(options.seed)
  const parent = options.kind === 'differencing' ? parentImage() : null
  const parents = parent === null ? [] : [parent]
  const start = newImage(imageOptions(options.kind, parent))
  const workload = new Workload(start, parents, options, chance)
  workload.run()
  const { changes } = workload.file
  const cord = new PowerCord(start, changes)
  let cuts = 0
  for (let at = 1; cord.step(); at += 1) {
    if (changes[at - 1]!.is === 'sync begins') continue
    const found = cord.cut(chance)
    cuts += 1
    try {
      examine(found, parents, workload, at, chance)
    } catch (error) {
      const where = `seed ${options.seed}, ${options.kind}, cut after change ${at}`
      throw new Error(`${where}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      })
    }
    if (chance() < 0.01) options.onFound?.(found)
  }
  return cuts
}

class Workload {
  readonly file: SparseFile
  readonly #writes: Write[] = []
  readonly #writesOf = new Map<number, Write[]>()
  readonly #disk: VhdxDisk
  #growth: ImageJob | null = null
  readonly #options: PowerLossOptions
  readonly #chance: () => number
  readonly #pending: { request: DiskRequest; ended: () => void }[] = []
  #generation = 0
  /** Writes that were not acknowledged when the next flush is submitted are not its business. */
  readonly #unacknowledged = new Set<number>()

  constructor(
    start: SparseBytes,
    parents: readonly SparseBytes[],
    options: PowerLossOptions,
    chance: () => number,
  ) {
    const { disk, file } = openCopy(start, { record: true, slowSyncs: options.slowSyncs, parents })
    this.file = file
    this.#disk = disk
    this.#options = options
    this.#chance = chance
  }

  run(): void {
    for (let step = 0; step < this.#options.steps; step += 1) {
      if (this.#options.kind === 'growing') this.#grow(step)
      this.#step()
      this.#collect()
      if (this.#chance() < 0.3) {
        this.file.endSyncs()
        this.#disk.poll(16)
        this.#collect()
      }
    }
    this.file.endSyncs()
    this.#disk.close()
    for (let turn = 0; !this.#disk.closed && turn < 1000; turn += 1) {
      this.file.endSyncs()
      this.#disk.poll(16)
    }
    this.#collect()
    if (this.#disk.closeStatus !== DiskStatus.OK) throw new Error('the disk does not close')
  }

  #grow(step: number): void {
    if (step === Math.floor(this.#options.steps / 3)) {
      this.#growth = growVhdx(this.#disk, GROWN_BLOCKS * MIB)
    }
    if (this.#growth?.step() === true) this.#growth = null
  }

  /** What a sector may hold after a cut: what was durable, or something later. */
  allowed(sector: number, at: number, base: number): number[] {
    let allowed = [base]
    for (const write of this.#writesOf.get(sector) ?? []) {
      if (write.at > at) break
      if (write.durableAt <= at) allowed = [write.content]
      else allowed.push(write.content)
    }
    return allowed
  }

  #step(): void {
    const kind = this.#chance()
    if (kind < 0.25) this.#flush()
    else if (kind < 0.35) this.#zero()
    else this.#write()
  }

  #write(): void {
    const block = this.#index(BLOCKS)
    const place = block * MIB + PLACES[this.#index(PLACES.length)]!
    const first = place / SECTOR + this.#index(RUN)
    // Some run over into the next block.
    const isLast = first >= (BLOCKS * MIB) / SECTOR - RUN
    const count = 1 + this.#index(isLast ? BLOCKS * 2048 - first : RUN)
    this.#generation += 1
    const bytes = new Uint8Array(count * SECTOR)
    for (let index = 0; index < count; index += 1) {
      stamp(bytes, index, first + index, this.#generation)
    }
    const request = new DiskRequest(1)
    request.durable = this.#chance() < 0.15
    request.data.beginBytes(bytes)
    request.data.add(0, bytes.length)
    this.#submit(request, DiskOperation.WRITE, first, count, this.#generation)
  }

  #zero(): void {
    const isUnmap = this.#options.kind !== 'fixed' && this.#chance() < 0.5
    const operation = isUnmap ? DiskOperation.UNMAP : DiskOperation.WRITE_ZEROES
    const isWhole = this.#chance() < 0.8
    const block = this.#index(BLOCKS)
    const first = block * 2048 + (isWhole ? 0 : 8)
    this.#submit(new DiskRequest(1), operation, first, isWhole ? 2048 : 640, 0)
  }

  #flush(): void {
    const request = new DiskRequest(1)
    request.operation = DiskOperation.FLUSH
    // What was acknowledged before, up to the first that was not: what came after that and was, a flush covers too.
    const covers = Math.min(this.#writes.length, ...this.#unacknowledged)
    this.#submitted(request, () => this.#durable(0, covers))
  }

  #submit(
    request: DiskRequest,
    operation: DiskOperation,
    first: number,
    count: number,
    content: number,
  ): void {
    request.operation = operation
    request.block = first
    request.blockCount = count
    const from = this.#writes.length
    const at = this.file.changes.length
    for (let sector = first; sector < first + count; sector += 1) {
      if (isWatched(sector)) this.#note({ at, sector, content, durableAt: Infinity })
    }
    const to = this.#writes.length
    for (let index = from; index < to; index += 1) this.#unacknowledged.add(index)
    this.#submitted(request, () => {
      for (let index = from; index < to; index += 1) this.#unacknowledged.delete(index)
      if (request.durable) this.#durable(from, to)
    })
  }

  #note(write: Write): void {
    this.#writes.push(write)
    const others = this.#writesOf.get(write.sector)
    if (others === undefined) this.#writesOf.set(write.sector, [write])
    else others.push(write)
  }

  /** Writes of those numbers are durable now. */
  #durable(from: number, to: number): void {
    const at = this.file.changes.length
    for (const write of this.#writes.slice(from, to)) {
      write.durableAt = Math.min(write.durableAt, at)
    }
  }

  #submitted(request: DiskRequest, ended: () => void): void {
    this.#disk.submit(request)
    if (request.status === DiskStatus.PENDING) this.#pending.push({ request, ended })
    else this.#check(request, ended)
  }

  #collect(): void {
    for (let index = 0; index < this.#pending.length;) {
      const { request, ended } = this.#pending[index]!
      if (request.status === DiskStatus.PENDING) index += 1
      else {
        this.#pending.splice(index, 1)
        this.#check(request, ended)
      }
    }
  }

  #check(request: DiskRequest, ended: () => void): void {
    if (request.status !== DiskStatus.OK && request.status !== DiskStatus.ABORTED) {
      throw new Error(`a request ended with ${request.status}`)
    }
    if (request.status === DiskStatus.OK) ended()
  }

  #index(count: number): number {
    return Math.floor(this.#chance() * count)
  }
}

function examine(
  found: SparseBytes,
  parents: readonly SparseBytes[],
  workload: Workload,
  at: number,
  chance: () => number,
): void {
  // Opening looks at everything that the check does; the check is another way there.
  if (chance() < 0.2) expectSound(found)
  // A read-only open replays in memory; the bytes are the same as those of a replay in the file.
  const { disk } = openCopy(found, { readOnly: true, parents })
  const contents = readPlaces(disk)
  const hasParent = parents.length > 0
  for (const [sector, content] of contents) {
    const base = hasParent ? parentContent(sector) : 0
    const allowed = workload.allowed(sector, at, base)
    if (!allowed.includes(content)) {
      throw new Error(
        `sector ${sector} holds ${content}, and only ${allowed.join(', ')} may be there`,
      )
    }
  }
  if (chance() < 0.9) return
  const file = new SparseFile({ bytes: found.copy(), record: true })
  const again = openVhdx(file, { newGuid, openParent: parentsOf(parents) })
  write(again, 5 * MIB + 700 * 1024, new Uint8Array(SECTOR))
  const after = readPlaces(again)
  for (const [sector, content] of contents) {
    if (after.get(sector) !== content) throw new Error(`sector ${sector} changed with the replay`)
  }
  // The power goes once more while that is going on.
  if (close(again) !== DiskStatus.OK) throw new Error('it does not close')
  if (checkVhdx(file).findings.length > 0) throw new Error('a closed file has findings')
  const cord = new PowerCord(found, file.changes)
  while (cord.step()) if (chance() < 0.2) expectSound(cord.cut(chance))
}

function expectSound(bytes: SparseBytes): void {
  const { findings } = checkVhdx(new SparseFile({ bytes, readOnly: true }))
  const errors = findings.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) {
    throw new Error(errors.map(({ field, problem }) => `${field}: ${problem}`).join('; '))
  }
}

/** What each watched sector holds: a generation, or 0 for zeros. */
function readPlaces(disk: Disk): Map<number, number> {
  const contents = new Map<number, number>()
  for (let block = 0; block < BLOCKS; block += 1) {
    for (const place of PLACES) {
      const first = (block * MIB + place) / SECTOR
      const words = new Uint32Array(read(disk, first * SECTOR, RUN * SECTOR).buffer)
      for (let index = 0; index < RUN; index += 1) {
        contents.set(first + index, contentOf(words, index, first + index))
      }
    }
  }
  return contents
}

function contentOf(words: Uint32Array, index: number, sector: number): number {
  const from = (index * SECTOR) / 4
  const generation = words[from + 1]!
  for (let word = from; word < from + SECTOR / 4; word += 2) {
    const isStamped = words[word] === sector + 1 && words[word + 1] === generation
    const isZero = words[word] === 0 && words[word + 1] === 0 && generation === 0
    if (!isStamped && !isZero) {
      throw new Error(`sector ${sector} holds bytes of sector ${words[word]! - 1}, or torn ones`)
    }
  }
  return generation
}

function stamp(bytes: Uint8Array, index: number, sector: number, generation: number): void {
  const words = new Uint32Array(bytes.buffer, index * SECTOR, SECTOR / 4)
  for (let word = 0; word < words.length; word += 2) {
    words[word] = sector + 1
    words[word + 1] = generation
  }
}

function isWatched(sector: number): boolean {
  const inBlock = (sector * SECTOR) % MIB
  return PLACES.some((place) => inBlock >= place && inBlock < place + RUN * SECTOR)
}

/** The parent has every other block, whole. */
function parentContent(sector: number): number {
  return Math.floor(sector / 2048) % 2 === 0 ? 0x7000_0000 : 0
}

function parentImage(): SparseBytes {
  const { disk, file } = openCopy(newImage({ virtualBytes: BLOCKS * MIB }))
  for (let block = 0; block < BLOCKS; block += 2) {
    const bytes = new Uint8Array(MIB)
    for (let index = 0; index < 2048; index += 1) {
      stamp(bytes, index, block * 2048 + index, 0x7000_0000)
    }
    write(disk, block * MIB, bytes)
  }
  close(disk)
  return file.bytes
}

function imageOptions(
  kind: PowerLossOptions['kind'],
  parent: SparseBytes | null,
): Partial<VhdxCreateOptions> {
  // A BAT of one MiB has 131,072 entries, of which every 4,097th is a sector bitmap's.
  const virtualBytes = (kind === 'growing' ? 131_000 : BLOCKS) * MIB
  if (parent !== null) return { virtualBytes, parent: referenceTo(parent) }
  return { virtualBytes, fixed: kind === 'fixed' }
}
