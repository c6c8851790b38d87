// What every disk keeps, as a suite that each of them runs (and any that somebody else writes).

import type fastCheck from 'fast-check'

import { assert } from '@guestyard/hvdef'

import { DiskOperation, DiskRequest, DiskStatus } from '../backends/disk.ts'
import type { Disk } from '../backends/disk.ts'
import { DiskModel, shapes } from './disk-model.ts'
import type { RequestShape } from './disk-model.ts'

/** A fact about the disk. `run` rejects when it isn't so. */
export interface ContractCase {
  readonly name: string
  readonly run: () => Promise<void>
}

export interface DiskContractOptions {
  /** A new disk of at least 64 blocks, all zeros. */
  readonly make: () => Disk
  /** A new disk of the same kind that is only read; left out where there is none. */
  readonly makeReadOnly?: () => Disk
  /** The same blocks again after `close`; left out where they end with the disk. */
  readonly reopen?: (closed: Disk) => Disk
  /** Lets what is pending get on: time passes, the event loop turns. Left out where polling is enough. */
  readonly turn?: (disk: Disk) => Promise<void>
  /** How many series of requests are tried; fast-check's own number when left out. */
  readonly runs?: number
}

/** Polls without an end, before a request counts as lost. */
const TURNS_MAX = 100_000

/**
 * The suite. `fc` is fast-check, which whoever tests has; each case is given to the test runner:
 * `for (const { name, run } of diskContract(fc, { make })) test(name, run)`.
 */
export function diskContract(
  fc: typeof fastCheck,
  options: DiskContractOptions,
): readonly ContractCase[] {
  const bench = new Bench(options)
  const cases: ContractCase[] = [
    { name: 'its geometry is one that devices can tell', run: () => bench.geometry() },
    { name: 'a block reads as it was last written, however scattered', run: () => series() },
    { name: 'blocks beyond the end are refused, and nothing moves', run: () => bench.outside() },
    { name: 'no blocks are done at once', run: () => bench.nothing() },
    { name: 'what is given up ends once, as done or aborted', run: () => bench.aborts() },
    { name: 'close ends what is under way, and the disk', run: () => bench.closes() },
  ]
  if (options.makeReadOnly !== undefined) {
    cases.push({ name: 'a disk that is only read never changes', run: () => bench.readOnly() })
  }
  return cases

  async function series(): Promise<void> {
    const property = fc.asyncProperty(fc.array(shapes(fc), { maxLength: 24 }), (requests) =>
      bench.series(requests),
    )
    await fc.assert(property, options.runs === undefined ? {} : { numRuns: options.runs })
  }
}

class Bench {
  readonly #options: DiskContractOptions

  constructor(options: DiskContractOptions) {
    this.#options = options
  }

  async geometry(): Promise<void> {
    const disk = this.#options.make()
    const { geometry } = disk
    assert(Number.isSafeInteger(geometry.blockCount), 'The block count is an integer.')
    assert(geometry.blockCount >= 64, 'The suite needs 64 blocks.')
    assert(geometry.logicalBlockBytes <= geometry.physicalBlockBytes, 'A sector holds blocks.')
    assert(geometry.uniqueId.length === 16, 'The id has 16 bytes.')
    await this.#close(disk)
  }

  async series(requests: readonly RequestShape[]): Promise<void> {
    let disk = this.#options.make()
    const model = new DiskModel(disk.geometry)
    for (const shape of requests) {
      const request = model.request(shape)
      await this.#run(disk, request)
      model.check(shape, request)
    }
    const last = model.wholeDisk()
    await this.#run(disk, last)
    model.checkWhole(last)
    await this.#close(disk)
    if (this.#options.reopen === undefined) return
    disk = this.#options.reopen(disk)
    await this.#run(disk, last)
    model.checkWhole(last)
    await this.#close(disk)
  }

  async outside(): Promise<void> {
    const disk = this.#options.make()
    const { blockCount, logicalBlockBytes } = disk.geometry
    const ranges = [
      [blockCount, 1],
      [blockCount - 1, 2],
      [blockCount + 7, 0],
      [Number.MAX_SAFE_INTEGER, 1],
      [-1, 1],
    ] as const
    for (const [block, count] of ranges) {
      for (const operation of [DiskOperation.READ, DiskOperation.WRITE] as const) {
        const request = fill(new DiskRequest(1), operation, block, count, logicalBlockBytes, 7)
        await this.#run(disk, request)
        expectStatus(request, DiskStatus.OUT_OF_RANGE)
        assert(
          request.data.bytes.every((byte) => byte === 7),
          'Nothing is read from beyond.',
        )
      }
    }
    const whole = new DiskModel(disk.geometry)
    const read = whole.wholeDisk()
    await this.#run(disk, read)
    whole.checkWhole(read)
    await this.#close(disk)
  }

  async nothing(): Promise<void> {
    const disk = this.#options.make()
    for (const operation of [DiskOperation.READ, DiskOperation.WRITE, DiskOperation.WRITE_ZEROES]) {
      for (const block of [0, disk.geometry.blockCount]) {
        const request = fill(new DiskRequest(1), operation, block, 0, 512, 0)
        disk.submit(request)
        expectStatus(request, DiskStatus.OK)
      }
    }
    await this.#close(disk)
  }

  async aborts(): Promise<void> {
    const disk = this.#options.make()
    const requests: DiskRequest[] = []
    for (let index = 0; index < 32; index++) {
      const request = mixed(disk, index)
      requests.push(request)
      disk.submit(request)
      if (index % 3 === 0 && isPending(request)) disk.abort(request)
    }
    await this.#drain(disk, requests)
    for (const { status } of requests) {
      const isEnd =
        status === DiskStatus.OK ||
        status === DiskStatus.ABORTED ||
        status === DiskStatus.UNSUPPORTED
      assert(isEnd, `A request ends as done or given up, not as ${status}.`)
    }
    const after = fill(new DiskRequest(1), DiskOperation.READ, 0, 1, 512, 0)
    await this.#run(disk, oneBlock(disk, after))
    expectStatus(after, DiskStatus.OK)
    await this.#close(disk)
  }

  async closes(): Promise<void> {
    const disk = this.#options.make()
    const requests = Array.from({ length: 16 }, (_, index) => mixed(disk, index))
    for (const request of requests) disk.submit(request)
    await this.#close(disk)
    assert(
      requests.every((request) => !isPending(request)),
      'A closed disk has nothing pending.',
    )
    const late = fill(new DiskRequest(1), DiskOperation.FLUSH, 0, 0, 512, 0)
    disk.submit(late)
    expectStatus(late, DiskStatus.ABORTED)
    disk.close()
    assert(disk.closed, 'A disk stays closed.')
  }

  async readOnly(): Promise<void> {
    const disk = this.#options.makeReadOnly!()
    assert(disk.geometry.readOnly, 'The geometry says that the disk is only read.')
    assert(!disk.geometry.canUnmap, 'A disk that is only read gives nothing up.')
    const changes = [DiskOperation.WRITE, DiskOperation.WRITE_ZEROES, DiskOperation.UNMAP] as const
    const { logicalBlockBytes } = disk.geometry
    for (const operation of changes) {
      const request = fill(new DiskRequest(1), operation, 1, 1, logicalBlockBytes, 7)
      await this.#run(disk, request)
      expectStatus(request, DiskStatus.READ_ONLY)
    }
    const read = fill(new DiskRequest(1), DiskOperation.READ, 1, 1, logicalBlockBytes, 7)
    await this.#run(disk, read)
    expectStatus(read, DiskStatus.OK)
    assert(
      read.data.bytes.every((byte) => byte === 0),
      'The block is as it was.',
    )
    const flush = fill(new DiskRequest(1), DiskOperation.FLUSH, 0, 0, logicalBlockBytes, 0)
    await this.#run(disk, flush)
    expectStatus(flush, DiskStatus.OK)
    await this.#close(disk)
  }

  async #run(disk: Disk, request: DiskRequest): Promise<void> {
    disk.submit(request)
    if (isPending(request)) await this.#drain(disk, [request])
  }

  /** Polls until all have ended, and checks that each was counted where it ended. */
  async #drain(disk: Disk, requests: readonly DiskRequest[]): Promise<void> {
    let pending = requests.filter(isPending).length
    for (let turn = 0; pending > 0; turn++) {
      assert(turn < TURNS_MAX, 'Every request ends.')
      const ended = disk.poll(4)
      const left = requests.filter(isPending).length
      assert(ended === pending - left, `${pending - left} requests ended, and ${ended} counted.`)
      pending = left
      if (pending > 0) await this.#options.turn?.(disk)
    }
  }

  async #close(disk: Disk): Promise<void> {
    disk.close()
    for (let turn = 0; !disk.closed; turn++) {
      assert(turn < TURNS_MAX, 'A disk closes in the end.')
      disk.poll(4)
      if (!disk.closed) await this.#options.turn?.(disk)
    }
    assert(disk.closeStatus === DiskStatus.OK, 'What was acknowledged is durable after close.')
  }
}

/** Requests that take a while on one disk or another. */
function mixed(disk: Disk, index: number): DiskRequest {
  const { logicalBlockBytes, blockCount } = disk.geometry
  const request = new DiskRequest(1)
  switch (index % 4) {
    case 0:
      return fill(request, DiskOperation.FLUSH, 0, 0, logicalBlockBytes, 0)
    case 1:
      return fill(request, DiskOperation.WRITE_ZEROES, 0, blockCount, logicalBlockBytes, 0)
    case 2:
      request.durable = true
      return fill(request, DiskOperation.WRITE, index, 2, logicalBlockBytes, index)
    default:
      return fill(request, DiskOperation.UNMAP, index, 3, logicalBlockBytes, 0)
  }
}

function oneBlock(disk: Disk, request: DiskRequest): DiskRequest {
  return fill(request, DiskOperation.READ, 0, 1, disk.geometry.logicalBlockBytes, 0)
}

/** A request over guest RAM of its own would be dear: these lie in bytes of the host's. */
function fill(
  request: DiskRequest,
  operation: DiskOperation,
  block: number,
  blockCount: number,
  blockBytes: number,
  byte: number,
): DiskRequest {
  request.operation = operation
  request.block = block
  request.blockCount = blockCount
  request.data.beginBytes(new Uint8Array(blockCount * blockBytes).fill(byte))
  const movesBytes = operation === DiskOperation.READ || operation === DiskOperation.WRITE
  if (movesBytes && blockCount > 0) request.data.add(0, blockCount * blockBytes)
  return request
}

function isPending(request: DiskRequest): boolean {
  return request.status === DiskStatus.PENDING
}

function expectStatus(request: DiskRequest, status: DiskStatus): void {
  assert(request.status === status, `The status is ${status}, not ${request.status}.`)
}
