import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  DMA_FAULTS_KEPT,
  GuestMemory,
  Iommu,
  PageRangeTable,
  PageRangeWalker,
  Slat,
  SlatReader,
  SlatRight,
  encodePageRange,
  parsePageRanges,
} from '@guestyard/guestmem'

const PAGE = 4096
const RAM_PAGES = 32
const { READ, WRITE } = SlatRight
const ANY = READ | WRITE

function machine(): { memory: GuestMemory; slat: Slat; iommu: Iommu; reader: SlatReader } {
  const memory = GuestMemory.create({ sizeBytes: RAM_PAGES * PAGE })
  const slat = Slat.identity(RAM_PAGES)
  return { memory, slat, iommu: new Iommu(memory, slat), reader: new SlatReader(slat.buffer) }
}

function rangesOf(pfns: readonly number[]): PageRangeTable {
  const table = new PageRangeTable({ maxRanges: 1, maxPages: 64 })
  const view = new DataView(new ArrayBuffer(1024))
  const bytes = encodePageRange(view, 0, 0, pfns.length * PAGE, pfns)
  parsePageRanges(view, 0, bytes, 1, table)
  return table
}

describe('a mapping', () => {
  test('is read and written where the SLAT has its pages, in the order they were named', () => {
    const { memory, slat, iommu } = machine()
    slat.mapRam(7, 20, 1, ANY)
    const pages = iommu.domain('net').map([7, 3], ANY)!
    expect(pages.write(PAGE - 2, Uint8Array.of(1, 2, 3))).toBe(true)
    expect([...memory.u8.subarray(20 * PAGE + PAGE - 2, 21 * PAGE)]).toEqual([1, 2])
    expect(memory.u8[3 * PAGE]).toBe(3)
    const back = new Uint8Array(3)
    expect(pages.read(PAGE - 2, back)).toBe(true)
    expect([...back]).toEqual([1, 2, 3])
    expect([...pages.resolve()!.pfns]).toEqual([20, 3])
  })

  test('that has ended is a fault with device, GPA and access, and reaches no memory', () => {
    const { memory, iommu } = machine()
    const domain = iommu.domain('net')
    const pages = domain.map([5, 6], ANY)!
    domain.unmap(pages)
    domain.unmap(pages)
    expect(pages.write(PAGE + 12, Uint8Array.of(9))).toBe(false)
    expect(pages.read(0, new Uint8Array(1))).toBe(false)
    expect(pages.resolve()).toBeUndefined()
    expect(memory.u8.every((byte) => byte === 0)).toBe(true)
    expect(iommu.inspect()).toMatchObject({
      faults: 3,
      latestFaults: [
        { device: 'net', gpa: 6 * PAGE + 12, access: WRITE, reason: 'not-mapped' },
        { device: 'net', gpa: 5 * PAGE, access: READ, reason: 'not-mapped' },
        { device: 'net', gpa: 5 * PAGE, access: ANY, reason: 'not-mapped' },
      ],
    })
  })

  test('for reading is not one for writing', () => {
    const { iommu } = machine()
    const pages = iommu.domain('net').map([5], READ)!
    expect(pages.read(0, new Uint8Array(4))).toBe(true)
    expect(pages.write(0, new Uint8Array(4))).toBe(false)
    expect(iommu.inspect().latestFaults[0]).toMatchObject({ access: WRITE, reason: 'not-mapped' })
  })

  test('of one device is nothing to another', () => {
    const { iommu } = machine()
    iommu.domain('net').map([5], ANY)
    expect(iommu.domain('disk').translate(5, READ)).toBe(-1)
    expect(iommu.domain('net').translate(5, READ)).toBe(5)
    expect(iommu.inspect().latestFaults).toMatchObject([{ device: 'disk', gpa: 5 * PAGE }])
  })

  test('of a page that is mapped twice lasts until both have ended', () => {
    const { iommu } = machine()
    const domain = iommu.domain('net')
    const first = domain.map([5, 5], ANY)!
    const second = domain.map([5], READ)!
    domain.unmap(first)
    expect(second.read(0, new Uint8Array(4))).toBe(true)
    expect(first.read(0, new Uint8Array(4))).toBe(false)
    expect(domain.peek(5, WRITE)).toBe(-1)
    domain.unmap(second)
    expect(domain.peek(5, READ)).toBe(-1)
    expect(domain.inUse).toBe(false)
  })

  test.each([
    ['a hole', (slat: Slat) => slat.unmap(9, 1), 'no-memory'],
    ['device registers', (slat: Slat) => slat.mapMmio(9, 1, 1), 'no-memory'],
    ['a page that may only be read', (slat: Slat) => slat.protect(9, 1, READ), 'no-memory'],
    ['an overlay page', (slat: Slat) => new SlatReader(slat.buffer).setOverlay(0, 0, 9), 'overlay'],
  ])('of %s is refused, and maps nothing of what was named with it', (_, change, reason) => {
    const { slat, iommu } = machine()
    change(slat)
    const domain = iommu.domain('net')
    expect(domain.map([8, 9, 10], ANY)).toBeUndefined()
    expect(domain.mapRanges(rangesOf([8, 9, 10]), ANY)).toBe(false)
    expect(domain.inUse).toBe(false)
    expect(domain.peek(8, READ)).toBe(-1)
    expect(iommu.inspect().latestFaults).toMatchObject([
      { gpa: 9 * PAGE, access: ANY, reason },
      { gpa: 9 * PAGE, access: ANY, reason },
    ])
  })

  test('of one page a hundred thousand times is refused when the counts are full', () => {
    const { iommu } = machine()
    const domain = iommu.domain('net')
    expect(domain.map(new Uint32Array(65_536).fill(4), READ)).toBeUndefined()
    expect(domain.inUse).toBe(false)
    expect(iommu.inspect().latestFaults[0]?.reason).toBe('too-often')
    expect(domain.map(new Uint32Array(65_535).fill(4), READ)).toBeDefined()
  })
})

describe('a page that the partition loses', () => {
  test('ends the mappings that hold it, once, and tells whoever made them', () => {
    const { slat, iommu } = machine()
    const domain = iommu.domain('net')
    const told: string[] = []
    const first = domain.map([4, 5], ANY, () => told.push('first'))!
    const second = domain.map([6], ANY, () => told.push('second'))!
    slat.unmap(5, 1)
    slat.unmap(5, 1)
    expect(told).toEqual(['first'])
    expect([first.live, second.live]).toEqual([false, true])
    expect(first.read(0, new Uint8Array(1))).toBe(false)
    expect(domain.inspect()).toMatchObject({ mappings: 1, mappedPages: 1, revocations: 1 })
  })

  test('ends them when it is mapped elsewhere or may not be written any more, not when nothing changes', () => {
    const { slat, iommu } = machine()
    const domain = iommu.domain('net')
    const moved = domain.map([4], READ)!
    const written = domain.map([5], ANY)!
    const readOnly = domain.map([5], READ)!
    slat.mapRam(4, 4, 2, 15)
    expect(moved.live && written.live && readOnly.live).toBe(true)
    slat.protect(5, 1, READ)
    slat.mapRam(4, 9, 1, ANY)
    expect([moved.live, written.live, readOnly.live]).toEqual([false, false, true])
  })

  test('is a fault for ranges in flight, which are unmapped all the same', () => {
    const { slat, iommu } = machine()
    const domain = iommu.domain('disk')
    const table = rangesOf([4, 5, 6])
    expect(domain.mapRanges(table, READ)).toBe(true)
    slat.unmap(5, 1)
    const walker = new PageRangeWalker(table)
    walker.begin(domain, READ, 0, 1, 0, 3 * PAGE)
    expect([walker.next(), walker.lengthBytes, walker.next(), walker.outside]).toEqual([
      true,
      PAGE,
      false,
      true,
    ])
    domain.unmapRanges(table, READ)
    expect(domain.inUse).toBe(false)
    expect(iommu.inspect().latestFaults).toEqual([
      { device: 'disk', gpa: 5 * PAGE, access: READ, reason: 'no-memory' },
    ])
  })
})

test('ranges are reached from their mapping until their completion, and not after', () => {
  const { iommu } = machine()
  const domain = iommu.domain('disk')
  const table = rangesOf([4, 9])
  const walker = new PageRangeWalker(table)
  const runs = (access: number): number => {
    let count = 0
    walker.begin(domain, access, 0, 1, 0, 2 * PAGE)
    while (walker.next()) count++
    return count
  }
  expect(runs(READ)).toBe(0)
  domain.mapRanges(table, READ)
  expect(runs(READ)).toBe(2)
  expect(runs(WRITE)).toBe(0)
  domain.unmapRanges(table, READ)
  expect(runs(READ)).toBe(0)
  expect(iommu.inspect().faults).toBe(3)
})

test('only the latest faults are kept, and all are counted', () => {
  const { iommu } = machine()
  const domain = iommu.domain('net')
  for (let page = 0; page < DMA_FAULTS_KEPT + 3; page++) domain.translate(page, READ)
  const { faults, latestFaults } = iommu.inspect()
  expect(faults).toBe(DMA_FAULTS_KEPT + 3)
  expect(latestFaults.map(({ gpa }) => gpa / PAGE)).toEqual(
    Array.from({ length: DMA_FAULTS_KEPT }, (_, index) => index + 3),
  )
})

test('a domain goes when its device does, and not while something is mapped', () => {
  const { iommu } = machine()
  const domain = iommu.domain('net')
  const pages = domain.map([4], ANY)!
  expect(iommu.remove(domain)).toBe(false)
  domain.unmap(pages)
  expect(iommu.remove(domain)).toBe(true)
  expect(iommu.inspect().domains).toEqual([])
})

const pfns = fc.array(fc.nat(RAM_PAGES + 1), { minLength: 1, maxLength: 6 })
const access = fc.constantFrom(READ, WRITE, ANY)
const step = fc.oneof(
  fc.record({ does: fc.constant('map' as const), pfns, access }),
  fc.record({ does: fc.constant('ranges' as const), pfns, access }),
  fc.record({ does: fc.constant('end' as const), which: fc.nat(8) }),
  fc.record({ does: fc.constant('lose' as const), page: fc.nat(RAM_PAGES - 1) }),
  fc.record({ does: fc.constant('give' as const), page: fc.nat(RAM_PAGES - 1) }),
  fc.record({ does: fc.constant('overlay' as const), slot: fc.nat(3), page: fc.nat(RAM_PAGES) }),
)

test('whatever is mapped and lost in whatever order, a device reaches exactly what both allow', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const { slat, iommu, reader } = machine()
      const domain = iommu.domain('net')
      let held: { pfns: number[]; access: number; end: () => void }[] = []
      const has = Array.from({ length: RAM_PAGES }, () => true)
      const overlays = [-1, -1, -1, -1]
      for (const one of steps) {
        if (one.does === 'map' || one.does === 'ranges') {
          const good = one.pfns.every((page) => has[page] === true && !overlays.includes(page))
          const entry = { pfns: one.pfns, access: one.access, end: (): void => {} }
          if (one.does === 'map') {
            const mapping = domain.map(one.pfns, one.access, () => {
              held = held.filter((other) => other !== entry)
            })
            expect(mapping !== undefined).toBe(good)
            if (mapping !== undefined) entry.end = (): void => domain.unmap(mapping)
          } else {
            const table = rangesOf(one.pfns)
            expect(domain.mapRanges(table, one.access)).toBe(good)
            entry.end = (): void => domain.unmapRanges(table, one.access)
          }
          if (good) held.push(entry)
        } else if (one.does === 'end') {
          held.splice(one.which, 1)[0]?.end()
        } else if (one.does === 'lose') {
          has[one.page] = false
          slat.unmap(one.page, 1)
        } else if (one.does === 'give') {
          has[one.page] = true
          slat.mapRam(one.page, one.page, 1, 15)
        } else {
          overlays[one.slot] = one.page - 1
          reader.setOverlay(0, one.slot, one.page - 1)
        }
        domain.sampleOverlays()
        for (let page = 0; page < RAM_PAGES; page++) {
          for (const wanted of [READ, WRITE]) {
            const allowed =
              has[page] === true &&
              !overlays.includes(page) &&
              held.some((entry) => entry.pfns.includes(page) && (entry.access & wanted) !== 0)
            expect(domain.peek(page, wanted)).toBe(allowed ? page : -1)
          }
        }
      }
      for (const entry of held) entry.end()
      expect(domain.inUse).toBe(false)
    }),
  )
})
