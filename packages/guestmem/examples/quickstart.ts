// A guest names scattered memory as page ranges; the host walks it, page by page, and copies it
// out.
import {
  GuestMemory,
  PageRangeStatus,
  PageRangeTable,
  PageRangeWalker,
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

// What the host does with it: parse the private copy, then walk, checking every page against RAM.
const table = new PageRangeTable({ maxRanges: 4, maxPages: 16 })
const status = parsePageRanges(sent, 0, sentBytes, 1, table)
if (status !== PageRangeStatus.OK) throw new Error(`the guest sent a bad range: ${status}`)

const local = new wasm.Memory({ initial: 1, maximum: 1 })
const walker = new PageRangeWalker(table)
walker.begin(ram, 0, table.rangeCount, 0, table.totalBytes)
const copied = copyFromRanges(walker, createCopyKernel(local, ram.memory), 0)
if (walker.outside) throw new Error('the guest named a page it does not have')
console.log(new TextDecoder().decode(new Uint8Array(local.buffer, 0, copied)))

// prints: hello world
