/**
 * A guest that trusts no disk: every block it writes carries the disk's tag, its own address and a generation, and whatever it reads
 * must be what it wrote last. Several workers have blocks of their own and requests of mixed sizes under way at once.
 */

import type { DiskData, Guest, GuestBlocks } from '@guestyard/child-partition'

/** What a host asks for with `check`. */
interface Asked {
  /** Disk by number or address; the first when left out. */
  readonly disk?: number | string
  readonly seed?: number
  readonly workers?: number
  /** Requests of each worker, or milliseconds, whichever ends first. */
  readonly requests?: number
  readonly milliseconds?: number
}

/** What was done, and that all of it was right. */
interface Checked {
  readonly requests: number
  readonly blocksWritten: number
  readonly blocksRead: number
  readonly flushes: number
}

const REQUEST_BYTES_MAX = 256 * 1024
const MAGIC = 0x4b43_4f42

export async function main(guest: Guest): Promise<void> {
  guest.expose({
    async check(data) {
      const {
        disk = 0,
        seed = 1,
        workers = 4,
        requests = Infinity,
        milliseconds = Infinity,
      } = (data ?? {}) as Asked
      const blocks = await guest.disks.get(disk)
      const run = { requests, untilMs: Date.now() + milliseconds, guest }
      const each = Array.from({ length: workers }, (_, index) => {
        const count = Math.floor(blocks.blockCount / workers)
        return new Worker(blocks, index * count, count, seed * 1000 + index).run(run)
      })
      const done = await Promise.all(each)
      return done.reduce(sum)
    },
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}

interface Run {
  readonly requests: number
  readonly untilMs: number
  readonly guest: Guest
}

/** One of several, with a range of blocks that is its own. */
class Worker {
  readonly #disk: GuestBlocks
  readonly #first: number
  readonly #tag: number
  /** By block of the range: what was written last; 0: never, or zeros. */
  readonly #generations: Uint32Array
  #random: number
  #generation = 0
  #blocksWritten = 0
  #blocksRead = 0
  #flushes = 0

  constructor(disk: GuestBlocks, first: number, count: number, seed: number) {
    this.#disk = disk
    this.#first = first
    this.#tag = seed >>> 0
    this.#random = seed >>> 0 || 1
    this.#generations = new Uint32Array(count)
  }

  async run({ requests, untilMs, guest }: Run): Promise<Checked> {
    const disk = this.#disk
    await disk.writeZeroes(this.#first, this.#generations.length)
    const buffer = guest.dma.alloc(REQUEST_BYTES_MAX)
    let done = 0
    for (; done < requests && Date.now() < untilMs; done += 1) {
      const most = Math.min(REQUEST_BYTES_MAX / disk.blockBytes, this.#generations.length)
      // Small ones more often than large ones.
      const count = 1 + Math.floor(this.#below(1 << this.#below(16)) % most)
      const at = this.#below(this.#generations.length - count + 1)
      const lengthBytes = count * disk.blockBytes
      const isDma = this.#below(2) === 0
      const data: DiskData = isDma
        ? { ...buffer, bytes: buffer.bytes.subarray(0, lengthBytes) }
        : new Uint8Array(lengthBytes)
      const what = this.#below(16)
      if (what < 7) await this.#write(at, count, data, what === 0)
      else if (what < 14) await this.#check(at, count, data)
      else if (what === 14) await this.#flush()
      else await this.#zero(at, count)
    }
    await this.#flush()
    for (let at = 0; at < this.#generations.length; at += 64) {
      const count = Math.min(64, this.#generations.length - at)
      await this.#check(at, count, new Uint8Array(count * disk.blockBytes))
    }
    buffer.free()
    const { requests: all, ...counts } = this.#counts(done)
    return { requests: all, ...counts }
  }

  #counts(requests: number): Checked {
    return {
      requests,
      blocksWritten: this.#blocksWritten,
      blocksRead: this.#blocksRead,
      flushes: this.#flushes,
    }
  }

  async #write(at: number, count: number, data: DiskData, durable: boolean): Promise<void> {
    const { blockBytes } = this.#disk
    const words = wordsOf(data)
    this.#generation += 1
    for (let index = 0; index < count; index += 1) {
      this.#fill(words, (index * blockBytes) >> 2, at + index, this.#generation)
    }
    await this.#disk.write(this.#first + at, data, { durable })
    this.#generations.fill(this.#generation, at, at + count)
    this.#blocksWritten += count
  }

  async #check(at: number, count: number, data: DiskData): Promise<void> {
    await this.#disk.read(this.#first + at, data)
    const words = wordsOf(data)
    const { blockBytes } = this.#disk
    for (let index = 0; index < count; index += 1) {
      const generation = this.#generations[at + index]!
      const problem = this.#problem(words, (index * blockBytes) >> 2, at + index, generation)
      if (problem === null) continue
      throw new Error(`block ${this.#first + at + index}, generation ${generation}: ${problem}`)
    }
    this.#blocksRead += count
  }

  async #flush(): Promise<void> {
    await this.#disk.flush()
    this.#flushes += 1
  }

  async #zero(at: number, count: number): Promise<void> {
    await this.#disk.writeZeroes(this.#first + at, count)
    this.#generations.fill(0, at, at + count)
  }

  #fill(words: Uint32Array, at: number, block: number, generation: number): void {
    words[at] = MAGIC
    words[at + 1] = this.#tag
    words[at + 2] = this.#first + block
    words[at + 3] = generation
    const end = at + (this.#disk.blockBytes >> 2)
    let word = (Math.imul(this.#first + block, 0x9e37_79b1) ^ generation) >>> 0
    for (let index = at + 4; index < end; index += 1) {
      word = (Math.imul(word, 0x0001_9660) + 0x3c6e_f35f) >>> 0
      words[index] = word
    }
  }

  #problem(words: Uint32Array, at: number, block: number, generation: number): string | null {
    const length = this.#disk.blockBytes >> 2
    const wanted = new Uint32Array(length)
    if (generation > 0) this.#fill(wanted, 0, block, generation)
    for (let index = 0; index < length; index += 1) {
      if (words[at + index] === wanted[index]) continue
      const [magic, tag, address, found] = words.subarray(at, at + 4)
      const said = `tag ${tag}, address ${address}, generation ${found}`
      return `word ${index} is wrong; the block says ${magic === MAGIC ? said : 'nothing'}`
    }
    return null
  }

  /** A number below `limit`, by the seed: xorshift32. */
  #below(limit: number): number {
    let word = this.#random
    word ^= word << 13
    word ^= word >>> 17
    word ^= word << 5
    this.#random = word >>> 0
    return this.#random % limit
  }
}

function wordsOf(data: DiskData): Uint32Array {
  const bytes = data instanceof Uint8Array ? data : data.bytes
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
}

function sum(a: Checked, b: Checked): Checked {
  return {
    requests: a.requests + b.requests,
    blocksWritten: a.blocksWritten + b.blocksWritten,
    blocksRead: a.blocksRead + b.blocksRead,
    flushes: a.flushes + b.flushes,
  }
}
