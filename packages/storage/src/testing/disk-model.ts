// What a disk should hold: for each block the generation of its last write. Bytes say which block they are of and which generation.

import type fastCheck from 'fast-check'

import { GuestMemory } from '@guestyard/guestmem'
import { assert } from '@guestyard/hvdef'

import { DiskOperation, DiskRequest, DiskStatus } from '../backends/disk.ts'
import type { DiskGeometry } from '../backends/disk.ts'

const PIECES_MAX = 8
/** Bytes between two pieces, and around them, that nobody may touch. */
const GAP_BYTES = 24
const UNTOUCHED = 0xee
/** The block was given up, and may read as anything. */
const UNKNOWN = -1

/** A request as fast-check draws it: fractions, so that it fits any disk. */
export interface RequestShape {
  readonly operation: DiskOperation
  readonly block: number
  readonly count: number
  readonly durable: boolean
  /** In guest RAM, or in bytes of the host's. */
  readonly inGuest: boolean
  /** Where the bytes are cut into pieces, as fractions. */
  readonly cuts: readonly number[]
  /** The pieces lie in memory the other way round. */
  readonly reversed: boolean
}

/** Requests of up to 40 blocks, most of them reads and writes, many of them near each other. */
export function shapes(fc: typeof fastCheck): fastCheck.Arbitrary<RequestShape> {
  const fraction = (): fastCheck.Arbitrary<number> =>
    fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
  const operation = fc.oneof(
    { weight: 4, arbitrary: fc.constant(DiskOperation.WRITE) },
    { weight: 4, arbitrary: fc.constant(DiskOperation.READ) },
    { weight: 1, arbitrary: fc.constant(DiskOperation.FLUSH) },
    { weight: 1, arbitrary: fc.constant(DiskOperation.UNMAP) },
    { weight: 1, arbitrary: fc.constant(DiskOperation.WRITE_ZEROES) },
  )
  return fc.record({
    operation,
    block: fc.oneof(fraction(), fc.constantFrom(0, 0.5, 0.999999)),
    count: fc.integer({ min: 1, max: 40 }),
    durable: fc.boolean(),
    inGuest: fc.boolean(),
    cuts: fc.array(fraction(), { maxLength: PIECES_MAX - 1 }),
    reversed: fc.boolean(),
  })
}

/** The model of one disk, of zeros at first. */
export class DiskModel {
  readonly #geometry: DiskGeometry
  readonly #generations = new Map<number, number>()
  #generation = 0
  #guest: GuestMemory | null = null

  constructor(geometry: DiskGeometry) {
    this.#geometry = geometry
  }

  /** The request, its bytes laid out, ready to be submitted. */
  request(shape: RequestShape): DiskRequest {
    const request = new DiskRequest(PIECES_MAX)
    request.operation = shape.operation
    request.block = Math.floor(shape.block * this.#geometry.blockCount)
    request.blockCount = Math.min(shape.count, this.#geometry.blockCount - request.block)
    request.durable = shape.durable
    if (shape.operation > DiskOperation.WRITE) return request
    this.#layOut(request, shape)
    if (shape.operation === DiskOperation.WRITE) {
      this.#generation += 1
      scatter(
        request,
        this.#pattern(request.block, request.blockCount, () => this.#generation),
      )
    }
    return request
  }

  /** Compares what a request did, and notes what it changed. */
  check(shape: RequestShape, request: DiskRequest): void {
    const isUnsupported = shape.operation === DiskOperation.UNMAP && !this.#geometry.canUnmap
    const wanted = isUnsupported ? DiskStatus.UNSUPPORTED : DiskStatus.OK
    assert(request.status === wanted, `The status is ${wanted}, not ${request.status}.`)
    if (isUnsupported) return
    const { block, blockCount, operation } = request
    if (operation === DiskOperation.READ) this.#compare(request)
    if (operation === DiskOperation.WRITE) this.#note(block, blockCount, this.#generation)
    if (operation === DiskOperation.WRITE_ZEROES) this.#note(block, blockCount, 0)
    if (operation === DiskOperation.UNMAP) {
      this.#note(block, blockCount, this.#geometry.unmapReadsZeros ? 0 : UNKNOWN)
    }
  }

  /** Reads as much of the disk as 1 MiB holds, from its start. */
  wholeDisk(): DiskRequest {
    const request = new DiskRequest(1)
    const { blockCount, logicalBlockBytes } = this.#geometry
    request.blockCount = Math.min(blockCount, (1 << 20) / logicalBlockBytes)
    request.data.beginBytes(new Uint8Array(request.blockCount * logicalBlockBytes))
    request.data.add(0, request.blockCount * logicalBlockBytes)
    return request
  }

  checkWhole(request: DiskRequest): void {
    assert(request.status === DiskStatus.OK, `The status is not OK but ${request.status}.`)
    this.#compare(request)
  }

  #note(block: number, blockCount: number, generation: number): void {
    for (let at = block; at < block + blockCount; at++) this.#generations.set(at, generation)
  }

  #compare(request: DiskRequest): void {
    const { block, blockCount } = request
    const known = (at: number): number => this.#generations.get(at) ?? 0
    const wanted = this.#pattern(block, blockCount, known)
    const { logicalBlockBytes } = this.#geometry
    const found = gather(request)
    for (let at = 0; at < wanted.length; at++) {
      if (found[at] === wanted[at]) continue
      const wrong = block + Math.floor(at / logicalBlockBytes)
      if (known(wrong) === UNKNOWN) continue
      throw new Error(`Block ${wrong} differs at byte ${at % logicalBlockBytes}.`)
    }
    assert(isUntouchedAround(request), 'Nothing beside the pieces is touched.')
  }

  #pattern(block: number, blockCount: number, generationOf: (at: number) => number): Uint8Array {
    const { logicalBlockBytes } = this.#geometry
    const words = new Uint32Array((blockCount * logicalBlockBytes) / 4)
    const wordsPerBlock = logicalBlockBytes / 4
    for (let index = 0; index < words.length; index += 2) {
      const at = block + Math.floor(index / wordsPerBlock)
      const generation = generationOf(at)
      if (generation <= 0) continue
      words[index] = at
      words[index + 1] = generation
    }
    return new Uint8Array(words.buffer)
  }

  /** Cuts the bytes of a request into pieces with gaps between them. */
  #layOut(request: DiskRequest, shape: RequestShape): void {
    const totalBytes = request.blockCount * this.#geometry.logicalBlockBytes
    const cuts = shape.cuts.map((cut) => Math.floor(cut * totalBytes)).sort((a, b) => a - b)
    const ends = [...cuts, totalBytes]
    const lengths = ends.map((end, index) => end - (ends[index - 1] ?? 0)).filter((n) => n > 0)
    const roomBytes = totalBytes + (lengths.length + 1) * GAP_BYTES
    if (shape.inGuest) {
      this.#guest ??= GuestMemory.create({ sizeBytes: 1 << 18 })
      this.#guest.u8.fill(UNTOUCHED)
      request.data.beginGuest(this.#guest)
    } else {
      request.data.beginBytes(new Uint8Array(roomBytes).fill(UNTOUCHED))
    }
    let at = shape.reversed ? roomBytes : GAP_BYTES
    for (const lengthBytes of lengths) {
      if (shape.reversed) at -= GAP_BYTES + lengthBytes
      request.data.add(at, lengthBytes)
      if (!shape.reversed) at += GAP_BYTES + lengthBytes
    }
  }
}

function scatter(request: DiskRequest, from: Uint8Array): void {
  const { bytes, addresses, lengths, count } = request.data
  let done = 0
  for (let piece = 0; piece < count; piece++) {
    bytes.set(from.subarray(done, done + lengths[piece]!), addresses[piece])
    done += lengths[piece]!
  }
}

function gather(request: DiskRequest): Uint8Array {
  const { bytes, addresses, lengths, count, totalBytes } = request.data
  const to = new Uint8Array(totalBytes)
  let done = 0
  for (let piece = 0; piece < count; piece++) {
    const at = addresses[piece]!
    to.set(bytes.subarray(at, at + lengths[piece]!), done)
    done += lengths[piece]!
  }
  return to
}

function isUntouchedAround(request: DiskRequest): boolean {
  const { bytes, addresses, lengths, count, totalBytes } = request.data
  if (totalBytes === bytes.length) return true
  for (let piece = 0; piece < count; piece++) {
    const at = addresses[piece]!
    const end = at + lengths[piece]!
    for (let gap = 0; gap < GAP_BYTES; gap++) {
      if (bytes[at - 1 - gap] !== UNTOUCHED || bytes[end + gap] !== UNTOUCHED) return false
    }
  }
  return true
}
