// HOT. Page ranges: how a guest names memory in GPADLs and GPA-direct packets.
//
//   range: byte count u32 | byte offset u32 | PFN u64 for each page the bytes touch
//
// Ranges follow each other without padding, at 4-byte alignment only. They are read from private
// bytes: a copy taken out of guest memory once. Sources: openvmm vmbus_ring gparange.rs
// (`MultiPagedRangeBuf`); ring layout "GPA-direct header".

import { PAGE_OFFSET_MASK, PAGE_SHIFT, assert } from '@guestyard/hvdef'

/** What `parsePageRanges` found. Everything but OK is the guest's fault. */
export const PageRangeStatus = {
  OK: 0,
  /** The bytes end before the ranges do. */
  TRUNCATED: 1,
  /** A range of zero bytes, or no range at all. */
  EMPTY: 2,
  /** An offset that lies beyond the first page. */
  BAD_OFFSET: 3,
  /** count + offset + 4095 does not fit in 32 bits. */
  OVERFLOW: 4,
  /** More ranges or pages than the table was made for. */
  TOO_MANY: 5,
} as const
export type PageRangeStatus = (typeof PageRangeStatus)[keyof typeof PageRangeStatus]

const RANGE_HEADER_BYTES = 8
const PFN_BYTES = 8
/** Stands for a frame number that does not fit in 32 bits: no RAM reaches it. */
const PFN_UNREACHABLE = 0xffff_ffff
/** A range's count + offset + 4095 must stay below this. */
const U32_RANGE = 0x1_0000_0000

/** Parsed ranges, in arrays made once and used again for each packet. Limits are the caller's. */
export class PageRangeTable {
  /** Ranges parsed, after `PageRangeStatus.OK`. */
  rangeCount = 0
  /** PFNs parsed, of all ranges together. */
  pageCount = 0
  /** Bytes the ranges took. */
  parsedBytes = 0
  /** Sum of all byte counts. */
  totalBytes = 0
  readonly byteCounts: Uint32Array
  readonly byteOffsets: Uint32Array
  /** Index into `pfns` of each range's first page. */
  readonly firstPages: Uint32Array
  /**
   * Frame numbers as the guest gave them: not checked against RAM, which a walk does page by page.
   */
  readonly pfns: Uint32Array
  /** Where each page lay in RAM when a `DmaDomain` mapped the ranges, after `mapRanges` has answered true. */
  readonly ramPages: Uint32Array

  constructor(limits: { readonly maxRanges: number; readonly maxPages: number }) {
    this.byteCounts = new Uint32Array(limits.maxRanges)
    this.byteOffsets = new Uint32Array(limits.maxRanges)
    this.firstPages = new Uint32Array(limits.maxRanges)
    this.pfns = new Uint32Array(limits.maxPages)
    this.ramPages = new Uint32Array(limits.maxPages)
  }
}

/**
 * Parses `rangeCount` ranges from the `lengthBytes` bytes at `at` of `view`, which must be private
 * memory. Work is bounded by the bytes given and by the table's limits. After anything but OK the
 * table's contents mean nothing.
 */
export function parsePageRanges(
  view: DataView,
  at: number,
  lengthBytes: number,
  rangeCount: number,
  table: PageRangeTable,
): PageRangeStatus {
  assert(at >= 0 && lengthBytes <= view.byteLength - at, 'The ranges lie inside the view.')
  if (rangeCount === 0) return PageRangeStatus.EMPTY
  if (rangeCount > table.byteCounts.length) return PageRangeStatus.TOO_MANY
  const end = at + lengthBytes
  let cursor = at
  let pageCount = 0
  let totalBytes = 0
  for (let range = 0; range < rangeCount; range += 1) {
    if (end - cursor < RANGE_HEADER_BYTES) return PageRangeStatus.TRUNCATED
    const byteCount = view.getUint32(cursor, true)
    const byteOffset = view.getUint32(cursor + 4, true)
    if (byteCount === 0) return PageRangeStatus.EMPTY
    if (byteOffset > PAGE_OFFSET_MASK) return PageRangeStatus.BAD_OFFSET
    const rounded = byteCount + byteOffset + PAGE_OFFSET_MASK
    if (rounded >= U32_RANGE) return PageRangeStatus.OVERFLOW
    const pages = rounded >>> PAGE_SHIFT
    cursor += RANGE_HEADER_BYTES
    if (end - cursor < pages * PFN_BYTES) return PageRangeStatus.TRUNCATED
    if (pages > table.pfns.length - pageCount) return PageRangeStatus.TOO_MANY
    table.byteCounts[range] = byteCount
    table.byteOffsets[range] = byteOffset
    table.firstPages[range] = pageCount
    copyPfns(view, cursor, pages, table.pfns, pageCount)
    cursor += pages * PFN_BYTES
    pageCount += pages
    totalBytes += byteCount
  }
  table.rangeCount = rangeCount
  table.pageCount = pageCount
  table.parsedBytes = cursor - at
  table.totalBytes = totalBytes
  return PageRangeStatus.OK
}

function copyPfns(view: DataView, at: number, pages: number, pfns: Uint32Array, to: number): void {
  for (let page = 0; page < pages; page += 1) {
    const low = view.getUint32(at + page * PFN_BYTES, true)
    const high = view.getUint32(at + page * PFN_BYTES + 4, true)
    pfns[to + page] = high === 0 ? low : PFN_UNREACHABLE
  }
}

/** Bytes that a range with `byteOffset` and `byteCount` takes when encoded. */
export function encodedRangeBytes(byteOffset: number, byteCount: number): number {
  return (
    RANGE_HEADER_BYTES + PFN_BYTES * ((byteOffset + byteCount + PAGE_OFFSET_MASK) >>> PAGE_SHIFT)
  )
}

/**
 * Writes one range at `at` of `view` and returns the bytes it took. `pfns[firstPage]` is the page
 * that holds the range's first byte. The numbers are ours, so they are asserted.
 */
export function encodePageRange(
  view: DataView,
  at: number,
  byteOffset: number,
  byteCount: number,
  pfns: ArrayLike<number>,
  firstPage = 0,
): number {
  assert(
    byteCount > 0 && byteOffset <= PAGE_OFFSET_MASK,
    'A range has bytes and begins in its first page.',
  )
  const pages = (byteOffset + byteCount + PAGE_OFFSET_MASK) >>> PAGE_SHIFT
  assert(firstPage + pages <= pfns.length, 'There is a frame number for each page of the range.')
  view.setUint32(at, byteCount, true)
  view.setUint32(at + 4, byteOffset, true)
  for (let page = 0; page < pages; page += 1) {
    view.setUint32(at + RANGE_HEADER_BYTES + page * PFN_BYTES, pfns[firstPage + page]!, true)
    view.setUint32(at + RANGE_HEADER_BYTES + page * PFN_BYTES + 4, 0, true)
  }
  return RANGE_HEADER_BYTES + pages * PFN_BYTES
}
