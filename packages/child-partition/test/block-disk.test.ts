// A disk with promises over a queue that a test makes: whatever is asked, in whatever order requests end, the bytes are right.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { GuestMemory } from '@guestyard/guestmem'

import type { BlockQueue, BlockRequest } from '../src/api/disks.ts'
import { BlockDisk } from '../src/disks/block-disk.ts'
import { PageDma } from '../src/disks/guest-dma.ts'
import { PageAllocator } from '../src/kernel/page-allocator.ts'

const PAGE = 4096
const BLOCK = 512
const BLOCKS = 2048

class FakeRequest implements BlockRequest {
  readonly pfns: Uint32Array
  readonly done: (request: BlockRequest) => void
  offsetBytes = 0
  lengthBytes = 0
  isPending = false
  problem: string | null = null

  constructor(maxPages: number, done: (request: BlockRequest) => void) {
    this.pfns = new Uint32Array(maxPages)
    this.done = done
  }

  setData(gpa: number, lengthBytes: number): void {
    const pages = Math.ceil(((gpa % PAGE) + lengthBytes) / PAGE)
    if (pages > this.pfns.length) throw new Error('more pages than the request has room for')
    for (let page = 0; page < pages; page += 1) this.pfns[page] = Math.floor(gpa / PAGE) + page
    this.offsetBytes = gpa % PAGE
    this.lengthBytes = lengthBytes
  }
}

/** Holds requests until `end`, which ends them in an order of its own. */
class FakeQueue implements BlockQueue {
  readonly maxDiscardBlocks = 100
  readonly maxWriteZeroesBlocks = 300
  readonly blocks: Uint8Array = new Uint8Array(BLOCK * BLOCKS)
  readonly memory: GuestMemory
  readonly held: (() => void)[] = []
  /** Most requests that were under way at once, and the longest of them in blocks. */
  most = 0
  longest = 0
  isGone = false
  /** Blocks that can't be read or written. */
  bad = -1

  constructor(memory: GuestMemory) {
    this.memory = memory
  }

  request(maxPages: number, done: (request: BlockRequest) => void): FakeRequest {
    return new FakeRequest(maxPages, done)
  }

  read(request: FakeRequest, block: number, count: number): boolean {
    return this.#submit(request, block, count, (gpa, at, length) => {
      this.memory.u8.set(this.blocks.subarray(at, at + length), gpa)
    })
  }

  write(request: FakeRequest, block: number, count: number): boolean {
    return this.#submit(request, block, count, (gpa, at, length) => {
      this.blocks.set(this.memory.u8.subarray(gpa, gpa + length), at)
    })
  }

  flush(request: FakeRequest): boolean {
    return this.#submit(request, 0, 0, () => {})
  }

  discard(request: FakeRequest, block: number, count: number): boolean {
    if (count > this.maxDiscardBlocks) throw new Error('more than it takes at once')
    return this.writeZeroes(request, block, count)
  }

  writeZeroes(request: FakeRequest, block: number, count: number): boolean {
    if (count > this.maxWriteZeroesBlocks) throw new Error('more than it takes at once')
    request.lengthBytes = 0
    const isTaken = this.#submit(request, block, count, () => {})
    if (isTaken) this.blocks.fill(0, block * BLOCK, (block + count) * BLOCK)
    return isTaken
  }

  problem(request: FakeRequest): string | null {
    return request.problem
  }

  publish(): void {}

  /** Ends what is held, in the order of the draws. */
  end(chance: () => number): void {
    while (this.held.length > 0) {
      const [one] = this.held.splice(Math.floor(chance() * this.held.length), 1)
      one!()
    }
  }

  #submit(
    request: FakeRequest,
    block: number,
    count: number,
    move: (gpa: number, at: number, length: number) => void,
  ): boolean {
    if (this.isGone) return false
    if (request.isPending) throw new Error('a request that is under way is submitted')
    request.isPending = true
    this.longest = Math.max(this.longest, request.lengthBytes / BLOCK)
    this.held.push(() => {
      request.isPending = false
      const isBad = this.bad >= block && this.bad < block + count
      const isPast = block + count > BLOCKS
      request.problem = isBad ? 'medium error' : isPast ? 'beyond the end' : null
      for (let at = 0; request.problem === null && at < request.lengthBytes;) {
        const offset = request.offsetBytes + at
        const length = Math.min(PAGE - (offset % PAGE), request.lengthBytes - at)
        const gpa = request.pfns[Math.floor(offset / PAGE)]! * PAGE + (offset % PAGE)
        move(gpa, block * BLOCK + at, length)
        at += length
      }
      request.done(request)
    })
    this.most = Math.max(this.most, this.held.length)
    return true
  }
}

interface Setting {
  readonly queue: FakeQueue
  readonly disk: BlockDisk
  readonly pages: PageAllocator
  readonly dma: PageDma
}

function setting(maxTransferBytes: number, pageCount: number): Setting {
  const memory = GuestMemory.create({ sizeBytes: 2 ** 20 })
  const pages = new PageAllocator(0, pageCount, 'scattered')
  const queue = new FakeQueue(memory)
  const disk = new BlockDisk(
    {
      address: 'scsi0:0',
      kind: 'disk',
      id: '',
      vendor: '',
      product: '',
      blockBytes: BLOCK,
      physicalBlockBytes: PAGE,
      blockCount: BLOCKS,
      readOnly: false,
      canDiscard: true,
      maxTransferBytes,
    },
    queue,
    { memory, pages, wake: () => {} },
  )
  return { queue, disk, pages, dma: new PageDma(memory, pages) }
}

/** Ends requests until the promise settles. */
async function until<T>({ queue }: Setting, promise: Promise<T>, chance = Math.random): Promise<T> {
  const wait = { isOver: false }
  const over = (): void => void (wait.isOver = true)
  promise.then(over, over)
  while (!wait.isOver) {
    await new Promise<void>((resolve) => setImmediate(resolve))
    queue.end(chance)
  }
  return promise
}

describe('a disk with promises', () => {
  test('reads and writes any run of blocks, of RAM or of any array, in whatever order its requests end', async () => {
    const run = fc.record({
      block: fc.nat({ max: BLOCKS - 1 }),
      count: fc.integer({ min: 1, max: 400 }),
      isDma: fc.boolean(),
      seed: fc.nat({ max: 255 }),
    })
    const sizes = fc.constantFrom(PAGE, 3 * PAGE, 256 * 1024)
    await fc.assert(
      fc.asyncProperty(fc.array(run, { maxLength: 6 }), sizes, async (runs, maxTransfer) => {
        const on = setting(maxTransfer, 200)
        const model = new Uint8Array(BLOCK * BLOCKS)
        for (const { block, count, isDma, seed } of runs) {
          const fits = Math.min(count, BLOCKS - block)
          const length = fits * BLOCK
          const buffer = isDma && length <= 64 * PAGE ? on.dma.alloc(length) : null
          const bytes = buffer === null ? new Uint8Array(length) : buffer.bytes.subarray(0, length)
          for (let at = 0; at < length; at += 1) bytes[at] = (at * 7 + seed) & 0xff
          model.set(bytes, block * BLOCK)
          const data = buffer === null ? bytes : { ...buffer, bytes }
          await until(on, on.disk.write(block, data))
          buffer?.free()
        }
        expect(Buffer.compare(on.queue.blocks, model)).toBe(0)
        const read = await until(on, on.disk.read(0, BLOCKS))
        expect(Buffer.compare(read, model)).toBe(0)
        expect(on.queue.longest * BLOCK).toBeLessThanOrEqual(maxTransfer)
        expect(on.queue.most).toBeLessThanOrEqual(on.disk.queueDepth)
      }),
      { numRuns: 40 },
    )
  })

  test('has no more requests under way than its RAM has pages for, and works with a single free page', async () => {
    const roomy = setting(256 * 1024, 256)
    await until(roomy, roomy.disk.read(0, BLOCKS))
    expect(roomy.queue.most).toBe(roomy.disk.queueDepth)
    expect(roomy.disk.queueDepth).toBe(4)
    const tight = setting(256 * 1024, 1)
    expect(await until(tight, tight.disk.read(5, 100))).toHaveLength(100 * BLOCK)
    expect(tight.queue.most).toBe(1)
    const none = setting(256 * 1024, 0)
    await expect(until(none, none.disk.read(0, 1))).rejects.toThrow('the guest has no free page')
  })

  test('gives up and zeroes long runs in as many commands as the unit takes', async () => {
    const on = setting(256 * 1024, 100)
    on.queue.blocks.fill(1)
    await until(on, on.disk.discard(10, 250))
    await until(on, on.disk.writeZeroes(1000, 700))
    const zeros = on.queue.blocks.filter((byte) => byte === 0).length
    expect(zeros).toBe(950 * BLOCK)
  })

  test('says in one line what failed, once every piece of it has ended', async () => {
    const on = setting(PAGE, 100)
    on.queue.bad = 40
    const failure = await until(
      on,
      on.disk.read(0, 64).then(
        () => null,
        (error: unknown) => error,
      ),
    )
    expect(failure).toMatchObject({
      message: 'scsi0:0: read of block 40: medium error',
      operation: 'read',
      block: 40,
    })
    expect(on.queue.held).toEqual([])
    await expect(until(on, on.disk.write(BLOCKS, new Uint8Array(BLOCK)))).rejects.toThrow(
      'scsi0:0: write of block 2048: beyond the end',
    )
    expect(await until(on, on.disk.read(0, 8))).toHaveLength(PAGE)
    on.queue.isGone = true
    await expect(until(on, on.disk.flush())).rejects.toThrow('flush of block 0: the disk is gone')
  })

  test.each([
    [(disk: BlockDisk) => disk.read(0, 1.5), 'is no number of its blocks'],
    [(disk: BlockDisk) => disk.read(0, BLOCKS + 1), 'is no number of its blocks'],
    [(disk: BlockDisk) => disk.read(-1, 1), '-1 is no block'],
    [(disk: BlockDisk) => disk.write(0, new Uint8Array(100)), 'no whole blocks of 512'],
    [(disk: BlockDisk) => disk.discard(0, Number.NaN), 'are no blocks'],
  ])('refuses what is no run of blocks: %s', async (ask, line) => {
    await expect(ask(setting(PAGE, 10).disk)).rejects.toThrow(line)
  })
})
