// Blocks that v86 compiles from guest code: modules that import its memory as `e.m`. They are generated for a private memory; here it
// is shared, and the import has to say so.

import { V86Mismatch } from './adapt.ts'
import { uleb } from './wasm-bytes.ts'

/** `"e"`, `"m"`, memory, limits without a maximum: `01 65 01 6d 02 00`, then the minimum. */
const MEMORY_IMPORT = [0x01, 0x65, 0x01, 0x6d, 0x02, 0x00] as const
const LIMITS_SHARED = 0x03
const IMPORT_SECTION = 2
const PAGES_MAX = 65_536

/** The block's module with its memory import shared. Throws a V86Mismatch where there is none to change. */
export function shareBlockMemory(block: Uint8Array): Uint8Array<ArrayBuffer> {
  const section = importSection(block)
  const at = findImport(block, section.from, section.end)
  const limits = at + MEMORY_IMPORT.length - 1
  let after = limits + 1
  while (block[after]! >= 0x80) after += 1
  after += 1
  const minimum = block.subarray(limits + 1, after)
  const maximum = uleb(PAGES_MAX)
  const growth = maximum.length
  const length = uleb(section.end - section.from + growth)
  const shared = new Uint8Array(block.length - section.lengthBytes + length.length + growth)
  let to = 0
  const put = (bytes: ArrayLike<number>): void => {
    shared.set(bytes, to)
    to += bytes.length
  }
  put(block.subarray(0, section.lengthAt))
  put(length)
  put(block.subarray(section.from, limits))
  put([LIMITS_SHARED])
  put(minimum)
  put(maximum)
  put(block.subarray(after))
  return shared
}

interface Stretch {
  /** Where the section's length is, and how many bytes it takes. */
  readonly lengthAt: number
  readonly lengthBytes: number
  readonly from: number
  readonly end: number
}

function importSection(block: Uint8Array): Stretch {
  let at = 8
  while (at < block.length) {
    const id = block[at]!
    const lengthAt = at + 1
    let length = 0
    let shift = 0
    let from = lengthAt
    for (;;) {
      const byte = block[from] ?? 0
      from += 1
      length += (byte & 0x7f) * 2 ** shift
      shift += 7
      if (byte < 0x80 || shift > 28) break
    }
    if (id === IMPORT_SECTION) {
      return { lengthAt, lengthBytes: from - lengthAt, from, end: from + length }
    }
    at = from + length
  }
  throw new V86Mismatch('a compiled block imports nothing')
}

function findImport(block: Uint8Array, from: number, end: number): number {
  for (let at = from; at <= end - MEMORY_IMPORT.length; at += 1) {
    let same = 0
    while (same < MEMORY_IMPORT.length && block[at + same] === MEMORY_IMPORT[same]) same += 1
    if (same === MEMORY_IMPORT.length) return at
  }
  throw new V86Mismatch('a compiled block does not import its memory')
}
