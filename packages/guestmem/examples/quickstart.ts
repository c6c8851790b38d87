// A guest names scattered memory as page ranges; its device maps them, copies them out page by
// page, and lets go of them.
import {
  GuestMemory,
  Iommu,
  PageRangeStatus,
  PageRangeTable,
  PageRangeWalker,
  Slat,
  SlatRight,
  copyFromRanges,
  createCopyKernel,
  encodePageRange,
  parsePageRanges,
  wasm,
} from '@guestyard/guestmem'

const ram = GuestMemory.create({ sizeBytes: 1 << 20 })
ram.write(9 * 4096 + 4090, new TextEncoder().encode('hello '))
ram.write(3 * 4096, new TextEncoder().encode('world'))

// What a guest would send: 11 bytes from offset 4090 of page 9, going on in page 3.
const sent = new DataView(new ArrayBuffer(64))
const sentBytes = encodePageRange(sent, 0, 4090, 11, [9, 3])

// The guest's devices reach what is mapped for them, and nothing else.
const iommu = new Iommu(ram, Slat.identity(ram.pageCount))
const disk = iommu.domain('disk')

// What the host does with the request: parse the private copy, map its pages, walk, unmap.
const table = new PageRangeTable({ maxRanges: 4, maxPages: 16 })
const status = parsePageRanges(sent, 0, sentBytes, 1, table)
if (status !== PageRangeStatus.OK) throw new Error(`the guest sent a bad range: ${status}`)

if (!disk.mapRanges(table, SlatRight.READ)) throw new Error('the guest has no such page')

const local = new wasm.Memory({ initial: 1, maximum: 1 })
const walker = new PageRangeWalker(table)
walker.begin(disk, SlatRight.READ, 0, table.rangeCount, 0, table.totalBytes)
const copied = copyFromRanges(walker, createCopyKernel(local, ram.memory), 0)
disk.unmapRanges(table, SlatRight.READ)
console.log(new TextDecoder().decode(new Uint8Array(local.buffer, 0, copied)))

// The request is complete: the device that comes back to it reaches nothing.
walker.begin(disk, SlatRight.READ, 0, table.rangeCount, 0, table.totalBytes)
console.log(walker.next(), iommu.inspect().latestFaults[0]?.reason)

// prints: hello world
// prints: false not-mapped
