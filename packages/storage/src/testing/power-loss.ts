// What an image must still be when the power goes in the middle of work, whatever of the work had reached the file.

import { assert } from '@guestyard/hvdef'

import { DiskOperation, DiskRequest, DiskStatus } from '../backends/disk.ts'
import type { Disk } from '../backends/disk.ts'
import type { MemoryFile } from './memory-file.ts'

/** Where the work goes: so many places all over the disk, so many blocks from each. */
const PLACES = 7
const PLACE_BLOCKS = 16
const BLOCKS_MAX = 8
/** A block of 4 KiB may be torn between its sectors. */
const SECTOR_WORDS = 128

/**
 * Random work on a disk, and what may be found of it afterwards. A block may hold what was acknowledged before the last flush that
 * was, or anything that was written to it since.
 */
class PowerLossWork {
  readonly #disk: Disk
  readonly #chance: () => number
  /** For each block touched: the generations that may be found, the oldest first. */
  readonly #possible = new Map<number, number[]>()
  #generation = 0

  /** A disk of zeros. `chance` draws from 0 up to 1. */
  constructor(disk: Disk, chance: () => number) {
    this.#disk = disk
    this.#chance = chance
  }

  /** One request, to its end. The file's syncs must be done when they have begun. */
  step(): void {
    const draw = this.#chance()
    const request = new DiskRequest(1)
    if (draw < 0.2) {
      request.operation = DiskOperation.FLUSH
      this.#run(request)
      if (request.status === DiskStatus.OK) this.#flushed()
      return
    }
    const { blockCount, logicalBlockBytes } = this.#disk.geometry
    const place = Math.floor(this.#chance() * PLACES) * Math.floor(blockCount / PLACES)
    request.block = place + Math.floor(this.#chance() * (PLACE_BLOCKS - BLOCKS_MAX))
    request.blockCount = 1 + Math.floor(this.#chance() * BLOCKS_MAX)
    request.operation = draw < 0.3 ? DiskOperation.WRITE_ZEROES : DiskOperation.WRITE
    request.durable = this.#chance() < 0.1
    const isWrite = request.operation === DiskOperation.WRITE
    if (isWrite) this.#generation += 1
    const generation = isWrite ? this.#generation : 0
    if (isWrite) {
      const bytes = new Uint8Array(request.blockCount * logicalBlockBytes)
      const words = new Uint32Array(bytes.buffer)
      for (let index = 0; index < request.blockCount; index++) {
        const at = (index * logicalBlockBytes) / 4
        words.fill(generation, at, at + logicalBlockBytes / 4)
        words[at] = request.block + index
      }
      request.data.beginBytes(bytes)
      request.data.add(0, bytes.length)
    }
    for (let index = 0; index < request.blockCount; index++) {
      const block = request.block + index
      const possible = this.#possible.get(block)
      if (possible === undefined) this.#possible.set(block, [0, generation])
      else possible.push(generation)
    }
    this.#run(request)
    if (request.durable && request.status === DiskStatus.OK) {
      for (let index = 0; index < request.blockCount; index++) {
        this.#possible.set(request.block + index, [generation])
      }
    }
  }

  /** Throws when a block of the disk that was found holds what it can't. */
  check(found: Disk): void {
    const { logicalBlockBytes } = found.geometry
    const request = new DiskRequest(1)
    for (const [block, possible] of this.#possible) {
      const bytes = new Uint8Array(logicalBlockBytes)
      request.block = block
      request.blockCount = 1
      request.data.beginBytes(bytes)
      request.data.add(0, logicalBlockBytes)
      found.submit(request)
      assert(request.status === DiskStatus.OK, `Block ${block} can be read.`)
      const words = new Uint32Array(bytes.buffer)
      for (let at = 0; at < words.length; at += SECTOR_WORDS) {
        const generation = words[at + 1]!
        const first = at === 0 && generation > 0 ? block : generation
        const isOneWrite =
          words[at] === first &&
          words.subarray(at + 1, at + SECTOR_WORDS).every((word) => word === generation)
        assert(isOneWrite, `Block ${block} holds what was never written to it.`)
        const isPossible = possible.includes(generation)
        assert(isPossible, `Block ${block} holds ${generation}, not one of ${possible.join(' ')}.`)
      }
    }
  }

  #run(request: DiskRequest): void {
    this.#disk.submit(request)
    for (let turn = 0; request.status === DiskStatus.PENDING; turn++) {
      assert(turn < 1000, 'A request ends, also without power.')
      this.#disk.poll(1)
    }
  }

  /** What was written last is what is there. */
  #flushed(): void {
    for (const [block, possible] of this.#possible) {
      this.#possible.set(block, [possible.at(-1)!])
    }
  }
}

/** What `losePower` needs of a format. */
export interface PowerLossOptions {
  /** A new image, durable: a disk of zeros, of at least 256 blocks. */
  readonly make: () => MemoryFile
  readonly open: (file: MemoryFile) => Disk
  /** Draws from 0 up to 1: the same draws, the same work. */
  readonly chance: () => number
  /** How many requests are made, if there is power for them. */
  readonly requests: number
  /** After so many changes of the file the power goes. */
  readonly cutAt: number
}

/**
 * Works on a disk until the power goes, then opens what a restart finds and checks every block. The file as it was found, before it was
 * opened, and how many changes the work made of the file.
 */
export function losePower(
  options: PowerLossOptions,
  reopen: (bytes: Uint8Array) => Disk,
): { readonly found: Uint8Array; readonly changes: number } {
  const file = options.make()
  const work = new PowerLossWork(options.open(file), options.chance)
  const before = file.changeCount
  file.changesLeft = options.cutAt
  for (let count = 0; count < options.requests && file.changesLeft > 0; count++) work.step()
  const changes = file.changeCount - before
  const found = file.afterPowerLoss(options.chance)
  work.check(reopen(found.slice()))
  return { found, changes }
}
