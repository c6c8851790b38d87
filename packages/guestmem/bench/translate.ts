// What a page costs on its way from a guest's number to RAM: the SLAT alone, and a device's domain over it. Nanoseconds a
// page, best of many.
//
//   node packages/guestmem/bench/translate.ts
import {
  GuestMemory,
  Iommu,
  PageRangeTable,
  SLAT_RIGHTS_ALL,
  Slat,
  SlatReader,
  SlatRight,
} from '@guestyard/guestmem'

const PAGES = 16_384
const ROUNDS = 200
const ACCESS = SlatRight.READ | SlatRight.WRITE

const memory = GuestMemory.create({ sizeBytes: PAGES * 4096 })
/** RAM as a guest finds it, but for a hole and a page that may only be read: one run, a large page, a leaf. */
const slat = Slat.identity(PAGES)
slat.unmap(160, 96)
slat.protect(300, 1, SlatRight.READ)
slat.mapRam(0, 0, 160, SLAT_RIGHTS_ALL)
const reader = new SlatReader(slat.buffer)
const domain = new Iommu(memory, slat).domain('bench')
const pages = Uint32Array.from({ length: 256 }, (_, index) => 1024 + ((index * 97) % 256))
domain.map(pages, ACCESS)
const table = new PageRangeTable({ maxRanges: 1, maxPages: 256 })
table.pfns.set(pages)
table.pageCount = 256

/** A loop of its own for each, as a caller would have; the sum keeps the compiler honest. */
const WAYS: Readonly<Record<string, (count: number) => number>> = {
  'root, in the run': (count) => {
    let sum = 0
    for (let i = 0; i < count; i += 1) sum += slat.ramPage(1024 + (i & 255), ACCESS)
    return sum
  },
  'root, by the table': (count) => {
    let sum = 0
    for (let i = 0; i < count; i += 1) sum += slat.ramPage(i & 127, ACCESS)
    return sum
  },
  'VP, in the run': (count) => {
    let sum = 0
    for (let i = 0; i < count; i += 1) sum += reader.ramPage(1024 + (i & 255), ACCESS)
    return sum
  },
  'VP, by the table': (count) => {
    let sum = 0
    for (let i = 0; i < count; i += 1) sum += reader.ramPage(i & 127, ACCESS)
    return sum
  },
  'a device’s touch': (count) => {
    let sum = 0
    for (let i = 0; i < count; i += 1) sum += domain.translate(pages[i & 255]!, ACCESS)
    return sum
  },
  'map and unmap, a page': (count) => {
    for (let i = 0; i < count; i += 256) {
      domain.mapRanges(table, ACCESS)
      domain.unmapRanges(table, ACCESS)
    }
    return count
  },
}

function nanoseconds(way: (count: number) => number): number {
  const count = 25_600
  let best = Infinity
  for (let round = 0; round < ROUNDS; round += 1) {
    const began = performance.now()
    if (way(count) < 0) throw new Error('a page was refused')
    best = Math.min(best, ((performance.now() - began) * 1e6) / count)
  }
  return best
}

console.log(`Node ${process.version}; nanoseconds a page`)
for (const [name, way] of Object.entries(WAYS)) {
  console.log(`${name.padEnd(24)}${nanoseconds(way).toFixed(1).padStart(8)}`)
}
