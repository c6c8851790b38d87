import {
  type DmaDomain,
  GuestMemory,
  Iommu,
  PageRangeStatus,
  PageRangeTable,
  PageRangeWalker,
  Slat,
  SlatRight,
  copyFromRanges,
  copyToRanges,
  createCopyKernel,
  encodePageRange,
  encodedRangeBytes,
  parsePageRanges,
  wasm,
} from '@guestyard/guestmem'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const PAGE = 4096
const MAX = { maxRanges: 8, maxPages: 64 }

const ANY = SlatRight.READ | SlatRight.WRITE

/** A domain in which every page of the memory is mapped. */
function domainOf(memory: GuestMemory): DmaDomain {
  const domain = new Iommu(memory, Slat.identity(memory.pageCount)).domain('disk')
  domain.map(
    Array.from({ length: memory.pageCount }, (_, page) => page),
    ANY,
  )
  return domain
}

function words(...values: number[]): DataView<ArrayBuffer> {
  return new DataView(Uint32Array.from(values).buffer)
}

function parse(view: DataView, count: number, table = new PageRangeTable(MAX)): PageRangeStatus {
  return parsePageRanges(view, 0, view.byteLength, count, table)
}

describe('parsing page ranges', () => {
  test('the bytes of a range are count, offset, then 64-bit frame numbers', () => {
    const table = new PageRangeTable(MAX)
    expect(parse(words(0x1001, 0xfff, 5, 0, 7, 0, 1, 0, 9, 0), 2, table)).toBe(PageRangeStatus.OK)
    expect([...table.byteCounts.subarray(0, 2)]).toEqual([0x1001, 1])
    expect([...table.byteOffsets.subarray(0, 2)]).toEqual([0xfff, 0])
    expect([...table.firstPages.subarray(0, 2)]).toEqual([0, 2])
    expect([...table.pfns.subarray(0, 3)]).toEqual([5, 7, 9])
    expect([table.rangeCount, table.pageCount, table.parsedBytes, table.totalBytes]).toEqual([
      2, 3, 40, 0x1002,
    ])
  })

  test.each([
    ['no ranges', words(1, 0, 1, 0), 0, PageRangeStatus.EMPTY],
    ['a range of no bytes', words(0, 0, 1, 0), 1, PageRangeStatus.EMPTY],
    ['an offset beyond the first page', words(1, 0x1000, 1, 0), 1, PageRangeStatus.BAD_OFFSET],
    [
      'a length that overflows with the rounding',
      words(0xfffff001, 0),
      1,
      PageRangeStatus.OVERFLOW,
    ],
    [
      'a length that overflows with the offset',
      words(0xffffffff, 0xfff),
      1,
      PageRangeStatus.OVERFLOW,
    ],
    [
      'the longest length there is, without its frame numbers',
      words(0xfffff000, 0),
      1,
      PageRangeStatus.TRUNCATED,
    ],
    ['half a header', words(1), 1, PageRangeStatus.TRUNCATED],
    ['no frame number', words(1, 0), 1, PageRangeStatus.TRUNCATED],
    ['half a frame number', words(1, 0, 5), 1, PageRangeStatus.TRUNCATED],
    ['one frame number of two', words(2, 0xfff, 5, 0), 1, PageRangeStatus.TRUNCATED],
    ['a second range that is not there', words(1, 0, 5, 0), 2, PageRangeStatus.TRUNCATED],
    ['more ranges than the table holds', words(1, 0, 5, 0), 9, PageRangeStatus.TOO_MANY],
    ['an absurd number of ranges', words(1, 0, 5, 0), 0xffffffff, PageRangeStatus.TOO_MANY],
  ])('%s', (_, view, count, status) => {
    expect(parse(view, count)).toBe(status)
  })

  test('more pages than the table holds', () => {
    const view = new DataView(new ArrayBuffer(8 + 65 * 8))
    view.setUint32(0, 65 * PAGE, true)
    expect(parse(view, 1)).toBe(PageRangeStatus.TOO_MANY)
  })

  test('a frame number beyond 32 bits is no RAM at all', () => {
    const domain = domainOf(GuestMemory.create({ sizeBytes: 65536 }))
    const table = new PageRangeTable(MAX)
    expect(parse(words(8, 0, 1, 1), 1, table)).toBe(PageRangeStatus.OK)
    const walker = new PageRangeWalker(table)
    expect(walker.begin(domain, ANY, 0, 1, 0, 8)).toBe(true)
    expect(walker.next()).toBe(false)
    expect(walker.outside).toBe(true)
  })

  test('arbitrary bytes never throw, and what parses fits the bytes it came from', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(10), (bytes, count) => {
        const table = new PageRangeTable(MAX)
        const view = new DataView(Uint8Array.from(bytes).buffer)
        if (parse(view, count, table) !== PageRangeStatus.OK) return
        expect(table.parsedBytes).toBeLessThanOrEqual(bytes.length)
        expect(table.parsedBytes).toBe(8 * (table.rangeCount + table.pageCount))
      }),
    )
  })
})

const RAM_PAGES = 32
const range = fc.record({
  offset: fc.nat(PAGE - 1),
  count: fc.integer({ min: 1, max: 3 * PAGE }),
  pfns: fc.array(fc.nat(RAM_PAGES - 1), { minLength: 4, maxLength: 4 }),
})

describe('walking page ranges', () => {
  test('what is encoded parses, and a walk meets each of its bytes once and in order', () => {
    const memory = GuestMemory.create({ sizeBytes: RAM_PAGES * PAGE })
    const domain = domainOf(memory)
    for (let index = 0; index < memory.u8.length; index += 1) {
      memory.u8[index] = (index >> 12) * 31 + index
    }
    const local = new wasm.Memory({ initial: 1, maximum: 1 })
    const kernel = createCopyKernel(local, memory.memory)
    const bytes = new Uint8Array(local.buffer)
    fc.assert(
      fc.property(
        fc.array(range, { minLength: 1, maxLength: 5 }),
        fc.nat(),
        fc.nat(),
        (ranges, a, b) => {
          const view = new DataView(new ArrayBuffer(1024))
          let at = 4
          const expected: number[] = []
          for (const { offset, count, pfns } of ranges) {
            expect(encodePageRange(view, at, offset, count, pfns)).toBe(
              encodedRangeBytes(offset, count),
            )
            at += encodedRangeBytes(offset, count)
            for (let i = 0; i < count; i += 1) {
              const byte = offset + i
              expected.push(memory.u8[pfns[byte >> 12]! * PAGE + (byte & (PAGE - 1))]!)
            }
          }
          const table = new PageRangeTable(MAX)
          expect(parsePageRanges(view, 4, at - 4, ranges.length, table)).toBe(PageRangeStatus.OK)
          expect(table.totalBytes).toBe(expected.length)
          const skip = a % (expected.length + 1)
          const length = b % (expected.length - skip + 1)
          const walker = new PageRangeWalker(table)
          expect(walker.begin(domain, ANY, 0, ranges.length, skip, length)).toBe(true)
          expect(copyFromRanges(walker, kernel, 100)).toBe(length)
          expect(walker.outside).toBe(false)
          const wanted = Uint8Array.from(expected.slice(skip, skip + length))
          expect(Buffer.compare(bytes.subarray(100, 100 + length), wanted)).toBe(0)
          expect(
            walker.begin(domain, ANY, 0, ranges.length, skip, expected.length - skip + 1),
          ).toBe(false)
          expect(walker.next()).toBe(false)
        },
      ),
    )
  })

  test('pages that follow each other are one run', () => {
    const memory = GuestMemory.create({ sizeBytes: RAM_PAGES * PAGE })
    const domain = domainOf(memory)
    const table = new PageRangeTable(MAX)
    const view = new DataView(new ArrayBuffer(64))
    const length = encodePageRange(view, 0, 16, 3 * PAGE, [4, 5, 9, 10])
    expect(parsePageRanges(view, 0, length, 1, table)).toBe(PageRangeStatus.OK)
    const walker = new PageRangeWalker(table)
    walker.begin(domain, ANY, 0, 1, 0, 3 * PAGE)
    const runs: number[][] = []
    while (walker.next()) runs.push([walker.address, walker.lengthBytes])
    expect(runs).toEqual([
      [4 * PAGE + 16, 2 * PAGE - 16],
      [9 * PAGE, PAGE + 16],
    ])
  })

  test('a walk ends before the first page that is not RAM', () => {
    const memory = GuestMemory.create({ sizeBytes: RAM_PAGES * PAGE })
    const domain = domainOf(memory)
    const table = new PageRangeTable(MAX)
    const view = new DataView(new ArrayBuffer(64))
    const length = encodePageRange(view, 0, 0, 3 * PAGE, [30, 31, 32])
    parsePageRanges(view, 0, length, 1, table)
    const local = new wasm.Memory({ initial: 1, maximum: 1 })
    new Uint8Array(local.buffer).fill(7)
    const walker = new PageRangeWalker(table)
    walker.begin(domain, ANY, 0, 1, 0, 3 * PAGE)
    expect(copyToRanges(walker, createCopyKernel(local, memory.memory), 0)).toBe(2 * PAGE)
    expect(walker.outside).toBe(true)
    expect(memory.u8.subarray(30 * PAGE).every((byte) => byte === 7)).toBe(true)
  })
})
