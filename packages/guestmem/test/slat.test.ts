import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HvStatus } from '@guestyard/hvdef'
import {
  SLAT_CHUNK_PAGES,
  SLAT_DIRECTORY,
  SLAT_HEADER,
  SLAT_RIGHTS_ALL,
  Slat,
  SlatDeviceReader,
  SlatKind,
  SlatReader,
  SlatRight,
  slatEntry,
  slatKind,
  slatNumber,
} from '@guestyard/guestmem'

const RAM_PAGES = 4 * SLAT_CHUNK_PAGES
const GPA_PAGES = 8 * SLAT_CHUNK_PAGES
const READ_WRITE = SlatRight.READ | SlatRight.WRITE

function slatOf(ramPages = RAM_PAGES): Slat {
  return new Slat({ ramPages, ramPagesMax: RAM_PAGES, gpaPages: GPA_PAGES })
}

describe('a SLAT', () => {
  it('answers nothing for pages that nobody mapped, and for numbers that are no pages', () => {
    const slat = slatOf()
    const reader = new SlatReader(slat.buffer)
    for (const page of [0, 1, GPA_PAGES - 1, GPA_PAGES, -1, 2 ** 40, Number.NaN, 0.5]) {
      expect(slat.lookUp(page)).toBe(0)
      expect(reader.lookUp(page)).toBe(0)
    }
  })

  it('needs no leaf for RAM at its own place, and answers by the run beside the table', () => {
    const slat = slatOf()
    expect(slat.mapRam(0, 0, RAM_PAGES, SLAT_RIGHTS_ALL)).toBe(HvStatus.SUCCESS)
    expect(slat.inspect()).toMatchObject({
      ramPagesMapped: RAM_PAGES,
      identityFirst: 0,
      identityPages: RAM_PAGES,
      leaves: 0,
    })
    expect(slat.ramPage(RAM_PAGES - 1, READ_WRITE)).toBe(RAM_PAGES - 1)
    expect(slat.ramPage(RAM_PAGES, READ_WRITE)).toBe(-1)
  })

  it('costs a guest of 64 MiB less than 32 KiB', () => {
    const slat = new Slat({ ramPages: 16_384 })
    slat.mapRam(0, 0, 16_384, SLAT_RIGHTS_ALL)
    slat.mapMmio(0xf_8000, 16, 1)
    slat.protect(3, 1, SlatRight.READ)
    expect(slat.inspect().tableBytes).toBeLessThan(32 * 1024)
  })

  it('gives a page no more rights than it was mapped with', () => {
    const slat = slatOf()
    slat.mapRam(0, 0, RAM_PAGES, SLAT_RIGHTS_ALL)
    expect(slat.protect(7, 2, SlatRight.READ)).toBe(HvStatus.SUCCESS)
    expect(slat.ramPage(7, SlatRight.READ)).toBe(7)
    expect(slat.ramPage(8, SlatRight.WRITE)).toBe(-1)
    expect(slat.ramPage(9, SlatRight.WRITE)).toBe(9)
  })

  it('finds the run again when a page gets its rights back', () => {
    const slat = slatOf()
    slat.mapRam(0, 0, RAM_PAGES, SlatRight.READ)
    expect(slat.identityPages).toBe(0)
    slat.protect(0, RAM_PAGES, SLAT_RIGHTS_ALL)
    slat.protect(700, 1, SlatRight.READ)
    expect(slat.identityPages).toBe(RAM_PAGES - 701)
    slat.protect(700, 1, SLAT_RIGHTS_ALL)
    expect(slat.identityPages).toBe(RAM_PAGES)
  })

  it('refuses RAM that the partition was not given, and takes it once it was', () => {
    const slat = slatOf(SLAT_CHUNK_PAGES)
    expect(slat.mapRam(0, SLAT_CHUNK_PAGES, 1, READ_WRITE)).toBe(HvStatus.INVALID_PARAMETER)
    slat.grow(SLAT_CHUNK_PAGES + 1)
    expect(slat.mapRam(0, SLAT_CHUNK_PAGES, 1, READ_WRITE)).toBe(HvStatus.SUCCESS)
    expect(slat.mapRam(0, SLAT_CHUNK_PAGES, 2, READ_WRITE)).toBe(HvStatus.INVALID_PARAMETER)
  })

  it('refuses rights and ranges that are none, and changes nothing', () => {
    const slat = slatOf()
    slat.mapRam(0, 0, 10, READ_WRITE)
    const before = slat.changes
    for (const [gpa, ram, count, rights] of [
      [0, 0, 0, 1],
      [-1, 0, 1, 1],
      [GPA_PAGES, 0, 1, 1],
      [GPA_PAGES - 1, 0, 2, 1],
      [0, -1, 1, 1],
      [0, 0, 1, 16],
      [0, 0, 1, -1],
      [0.5, 0, 1, 1],
      [Number.NaN, 0, 1, 1],
      [0, 0, Number.POSITIVE_INFINITY, 1],
    ] as const) {
      expect(slat.mapRam(gpa, ram, count, rights)).toBe(HvStatus.INVALID_PARAMETER)
    }
    expect(slat.protect(9, 2, 1)).toBe(HvStatus.INVALID_PARAMETER)
    expect(slat.mapMmio(0, 1, 1 << 20)).toBe(HvStatus.INVALID_PARAMETER)
    expect(slat.changes).toBe(before)
  })

  it('runs out of leaves with INSUFFICIENT_MEMORY, and changes nothing', () => {
    const gpaPages = 256 * SLAT_CHUNK_PAGES
    const slat = new Slat({ ramPages: 1, gpaPages })
    let chunk = 0
    while (slat.mapRam(chunk * SLAT_CHUNK_PAGES, 0, 1, READ_WRITE) === HvStatus.SUCCESS) chunk++
    expect(chunk).toBe(65)
    const refused = slat.mapMmio(chunk * SLAT_CHUNK_PAGES - 1, 2, 5)
    expect(refused).toBe(HvStatus.INSUFFICIENT_MEMORY)
    expect(slat.lookUp(chunk * SLAT_CHUNK_PAGES - 1)).toBe(0)
    expect(slat.mapMmio(chunk * SLAT_CHUNK_PAGES, SLAT_CHUNK_PAGES, 5)).toBe(HvStatus.SUCCESS)
  })

  it('has a buffer that a guest cannot make longer, so that leaves find the room they were made for', () => {
    const slat = Slat.identity(SLAT_CHUNK_PAGES, RAM_PAGES)
    slat.buffer.grow(slat.buffer.maxByteLength)
    expect(() => slat.buffer.grow(slat.buffer.maxByteLength + 1)).toThrow(RangeError)
    const reader = new SlatReader(slat.buffer)
    for (let chunk = 0; chunk < 68; chunk++) {
      const page = chunk * SLAT_CHUNK_PAGES + 3
      expect(slat.mapRam(page, 5, 1, READ_WRITE)).toBe(HvStatus.SUCCESS)
      expect(reader.ramPage(page, SlatRight.WRITE)).toBe(5)
    }
    expect(reader.generation % 2).toBe(0)
    expect(slat.inspect().leaves).toBe(68)
  })

  it('takes RAM back that was given and could not all be mapped', () => {
    const slat = new Slat({ ramPages: 8, ramPagesMax: RAM_PAGES, gpaPages: GPA_PAGES })
    slat.mapRam(0, 0, 8, SLAT_RIGHTS_ALL)
    slat.mapMmio(SLAT_CHUNK_PAGES, 1, 4)
    slat.grow(SLAT_CHUNK_PAGES + 8)
    slat.mapRam(8, 8, SLAT_CHUNK_PAGES - 8, SLAT_RIGHTS_ALL)
    slat.takeBack(8)
    expect([slat.ramPages, slat.identityPages]).toEqual([8, 8])
    expect(slat.inspect()).toMatchObject({ ramPagesMapped: 8, mmioPages: 1 })
    expect(slat.mapRam(8, 8, 1, READ_WRITE)).toBe(HvStatus.INVALID_PARAMETER)
  })

  it('has a header in which no two rows of the ownership table share a word', () => {
    const words = SLAT_HEADER.flatMap(({ word, count }) =>
      Array.from({ length: count }, (_, index) => word + index),
    )
    expect(new Set(words).size).toBe(words.length)
    expect(Math.max(...words)).toBeLessThan(SLAT_DIRECTORY)
  })

  it('shows a reader every change under a new generation', () => {
    const slat = slatOf()
    const reader = new SlatReader(slat.buffer)
    slat.mapRam(0, 0, RAM_PAGES, SLAT_RIGHTS_ALL)
    const generation = reader.generation
    expect(reader.ramPage(600, SlatRight.WRITE)).toBe(600)
    slat.unmap(600, 1)
    expect(reader.generation).not.toBe(generation)
    expect(reader.ramPage(600, SlatRight.WRITE)).toBe(-1)
    expect(reader.ramPage(601, SlatRight.WRITE)).toBe(601)
  })

  it('tells its watchers which pages changed, after they have', () => {
    const slat = slatOf()
    const heard: number[][] = []
    const watcher = {
      pagesChanged: (first: number, count: number): void => {
        heard.push([first, count, slatKind(slat.lookUp(first))])
      },
    }
    slat.watch(watcher)
    slat.mapRam(3, 5, 2, READ_WRITE)
    slat.unmap(4, 1)
    slat.unwatch(watcher)
    slat.unmap(3, 1)
    expect(heard).toEqual([
      [3, 2, SlatKind.RAM],
      [4, 1, SlatKind.NOTHING],
    ])
  })

  it('knows the overlays that VPs announce, once it has looked', () => {
    const slat = slatOf()
    const reader = new SlatReader(slat.buffer)
    reader.setOverlay(-1, 1, 5)
    reader.setOverlay(63, 3, 5)
    reader.setOverlay(0, 0, GPA_PAGES + 9)
    expect(slat.overlays.isCovered(5)).toBe(false)
    slat.overlays.sample()
    expect(slat.overlays.isCovered(5)).toBe(true)
    expect(slat.overlays.isCovered(4)).toBe(false)
    expect(slat.overlays.count).toBe(1)
    reader.setOverlay(63, 3, -1)
    slat.overlays.sample()
    expect(slat.overlays.isCovered(5)).toBe(true)
    reader.setOverlay(-1, 1, -1)
    slat.overlays.sample()
    expect(slat.overlays.isCovered(5)).toBe(false)
  })

  it('gives a device in another thread RAM with its rights, and no page under an overlay', () => {
    const slat = slatOf()
    const device = new SlatDeviceReader(slat.buffer)
    slat.mapRam(0, 0, 16, SLAT_RIGHTS_ALL)
    slat.protect(3, 1, SlatRight.READ)
    slat.mapMmio(20, 1, 1)
    expect([2, 3, 16, 20, -1, 2 ** 40].map((page) => device.ramPage(page, READ_WRITE))).toEqual([
      2, -1, -1, -1, -1, -1,
    ])
    expect(device.ramPage(3, SlatRight.READ)).toBe(3)
    const guest = new SlatReader(slat.buffer)
    guest.setOverlay(0, 0, 2)
    expect(device.ramPage(2, SlatRight.READ)).toBe(-1)
    guest.setOverlay(0, 0, -1)
    expect(device.ramPage(2, SlatRight.READ)).toBe(2)
  })
})

const page = fc.nat({ max: GPA_PAGES + 3 })
const count = fc.oneof(
  fc.nat({ max: 8 }),
  fc.constantFrom(
    SLAT_CHUNK_PAGES - 1,
    SLAT_CHUNK_PAGES,
    SLAT_CHUNK_PAGES + 1,
    2 * SLAT_CHUNK_PAGES,
  ),
)
/** Pages where chunks meet are the interesting ones. */
const edge = fc
  .tuple(fc.nat({ max: 8 }), fc.integer({ min: -3, max: 3 }))
  .map(([chunk, offset]) => chunk * SLAT_CHUNK_PAGES + offset)
const where = fc.oneof(page, edge)
const rights = fc.oneof(fc.constant(SLAT_RIGHTS_ALL), fc.nat({ max: 16 }))
const step = fc.oneof(
  fc.record({ does: fc.constant('map' as const), at: where, from: where, count, rights }),
  fc.record({ does: fc.constant('same' as const), at: where, count }),
  fc.record({ does: fc.constant('mmio' as const), at: where, count, region: fc.nat({ max: 4 }) }),
  fc.record({ does: fc.constant('unmap' as const), at: where, count }),
  fc.record({ does: fc.constant('protect' as const), at: where, count, rights }),
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** What a table of plain pages does with a step: false when it refuses. */
function applyToModel(model: Map<number, number>, change: Step): boolean {
  const pages = Array.from({ length: change.count }, (_, index) => change.at + index)
  const inside = change.at >= 0 && change.count > 0 && change.at + change.count <= GPA_PAGES
  if (!inside) return false
  switch (change.does) {
    case 'map':
    case 'same': {
      const from = change.does === 'same' ? change.at : change.from
      const given = change.does === 'same' ? SLAT_RIGHTS_ALL : change.rights
      if (from < 0 || from + change.count > RAM_PAGES || given > SLAT_RIGHTS_ALL) return false
      for (const [index, at] of pages.entries()) {
        model.set(at, slatEntry(SlatKind.RAM, given, from + index))
      }
      return true
    }
    case 'mmio':
      for (const at of pages) model.set(at, slatEntry(SlatKind.MMIO, 0, change.region))
      return true
    case 'unmap':
      for (const at of pages) model.delete(at)
      return true
    case 'protect': {
      const isRam = (at: number): boolean => slatKind(model.get(at) ?? 0) === SlatKind.RAM
      if (change.rights > SLAT_RIGHTS_ALL || !pages.every(isRam)) return false
      for (const at of pages) {
        model.set(at, slatEntry(SlatKind.RAM, change.rights, slatNumber(model.get(at)!)))
      }
      return true
    }
  }
}

function applyToSlat(slat: Slat, change: Step): boolean {
  switch (change.does) {
    case 'map':
      return slat.mapRam(change.at, change.from, change.count, change.rights) === HvStatus.SUCCESS
    case 'same':
      return slat.mapRam(change.at, change.at, change.count, SLAT_RIGHTS_ALL) === HvStatus.SUCCESS
    case 'mmio':
      return slat.mapMmio(change.at, change.count, change.region) === HvStatus.SUCCESS
    case 'unmap':
      return slat.unmap(change.at, change.count) === HvStatus.SUCCESS
    case 'protect':
      return slat.protect(change.at, change.count, change.rights) === HvStatus.SUCCESS
  }
}

describe('any sequence of changes', () => {
  it('leaves the table, and what VPs read of it, as a plain map of pages would be', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 24 }), (changes) => {
        const slat = slatOf()
        const reader = new SlatReader(slat.buffer)
        const model = new Map<number, number>()
        for (const change of changes) {
          expect(applyToSlat(slat, change)).toBe(applyToModel(model, change))
          const end = change.at + change.count
          for (const at of [change.at - 1, change.at, end - 1, end]) {
            const expected = model.get(at) ?? 0
            expect([at, slat.lookUp(at), reader.lookUp(at)]).toEqual([at, expected, expected])
          }
        }
        for (let at = 0; at < GPA_PAGES; at++) {
          const expected = model.get(at) ?? 0
          if (slat.lookUp(at) !== expected || reader.lookUp(at) !== expected) {
            expect([at, slat.lookUp(at), reader.lookUp(at)]).toEqual([at, expected, expected])
          }
        }
        expect(slat.inspect().ramPagesMapped).toBe(
          [...model.values()].filter((entry) => slatKind(entry) === SlatKind.RAM).length,
        )
      }),
      { numRuns: 300 },
    )
  })
})
