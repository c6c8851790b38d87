/**
 * Reads the latency histograms that guests hand over: HdrHistogram V2 encoding, compressed, base64.
 *
 *   text      base64 of   0x1c849314 | bytes that follow | zlib stream
 *   inflated              0x1c849313 | bytes of words | 0 | digits | lowest u64 | highest u64 | ratio | words
 *   a word                ZigZag LEB128, 1..9 bytes: a count, or, below 0, how many buckets are empty
 *
 * A guest is hostile, and the library's own decoder believes the lengths it reads. Here every step has
 * a bound that follows from the one configuration that guests record with; what is beyond is a problem
 * in words, not a wait and not memory.
 */

import { inflateSync } from 'node:zlib'

/** Digits kept: 3, so a value is off by at most one in a thousand. */
export const LATENCY_DIGITS = 3
/** Guests record a minute at most; this is the end of the bucket after that. */
const HIGHEST_NS_MAX = 2 ** 37

/** Buckets of width 1; from then on half as many for each doubling. */
const SINGLE_UNIT_BUCKETS = 2048
const BUCKETS_PER_DOUBLING = SINGLE_UNIT_BUCKETS / 2
const BUCKETS_MAX =
  SINGLE_UNIT_BUCKETS + BUCKETS_PER_DOUBLING * (1 + Math.log2(HIGHEST_NS_MAX / SINGLE_UNIT_BUCKETS))

const COMPRESSED_COOKIE = 0x1c849314
const COMPRESSED_HEADER_BYTES = 8
const COOKIE = 0x1c849313
const HEADER_BYTES = 40
const WORD_BYTES_MAX = 9
const INFLATED_BYTES_MAX = HEADER_BYTES + WORD_BYTES_MAX * BUCKETS_MAX
/** What zlib may add to bytes that do not compress, generously. */
const INCOMPRESSIBLE = 1.01
/** Characters of an encoded histogram at most, a third of a million. */
export const LATENCY_TEXT_MAX: number =
  4 * Math.ceil((COMPRESSED_HEADER_BYTES + INFLATED_BYTES_MAX * INCOMPRESSIBLE) / 3)

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

/** Samples that fell into one bucket. */
export interface LatencyBucket {
  /** The longest time in the bucket. */
  readonly ns: number
  readonly count: number
}

export type ReadLatency =
  | { readonly ok: true; readonly buckets: readonly LatencyBucket[] }
  | { readonly ok: false; readonly problem: string }

/** The buckets in which there is a sample, in order; total, and bounded, for any text. */
export function readLatency(text: string): ReadLatency {
  if (text.length > LATENCY_TEXT_MAX) {
    return refused(`${text.length} characters long, at most ${LATENCY_TEXT_MAX}`)
  }
  if (text.length % 4 !== 0 || !BASE64.test(text)) return refused('not base64')
  const bytes = inflate(Buffer.from(text, 'base64'))
  if (bytes === undefined) return refused('not a compressed histogram')
  if (bytes.length < HEADER_BYTES || bytes.readUInt32BE(0) !== COOKIE) {
    return refused('not in the V2 encoding')
  }
  if (bytes.readUInt32BE(4) !== bytes.length - HEADER_BYTES) return refused('cut short')
  const digits = bytes.readUInt32BE(12)
  const highestNs = Number(bytes.readBigUInt64BE(24))
  if (digits !== LATENCY_DIGITS || bytes.readBigUInt64BE(16) !== 1n || highestNs > HIGHEST_NS_MAX) {
    return refused('of another configuration')
  }
  return readWords(bytes)
}

function inflate(bytes: Buffer): Buffer | undefined {
  if (bytes.length < COMPRESSED_HEADER_BYTES) return undefined
  if (bytes.readUInt32BE(0) !== COMPRESSED_COOKIE) return undefined
  if (bytes.readUInt32BE(4) !== bytes.length - COMPRESSED_HEADER_BYTES) return undefined
  try {
    const compressed = bytes.subarray(COMPRESSED_HEADER_BYTES)
    return inflateSync(compressed, { maxOutputLength: INFLATED_BYTES_MAX })
  } catch {
    return undefined
  }
}

function readWords(bytes: Buffer): ReadLatency {
  const buckets: LatencyBucket[] = []
  let bucket = 0
  let total = 0
  let at = HEADER_BYTES
  while (at < bytes.length) {
    let raw = 0
    let scale = 1
    for (let read = 0; read < WORD_BYTES_MAX; read++) {
      const byte = bytes[at++]
      if (byte === undefined) return refused('cut short')
      const last = read === WORD_BYTES_MAX - 1 || byte < 0x80
      raw += (byte < 0x80 || read === WORD_BYTES_MAX - 1 ? byte : byte & 0x7f) * scale
      if (last) break
      scale *= 0x80
    }
    // Beyond, a double drops the low bit, which is the sign.
    if (raw > Number.MAX_SAFE_INTEGER) return refused('a count is too large')
    const empty = raw % 2 === 1
    const amount = empty ? (raw + 1) / 2 : raw / 2
    if (!empty && amount > 0) buckets.push({ ns: longestOf(bucket), count: amount })
    if (!empty) total += amount
    bucket += empty ? amount : 1
    if (bucket > BUCKETS_MAX) return refused('it has more buckets than its configuration')
    if (total > Number.MAX_SAFE_INTEGER) return refused('a count is too large')
  }
  return { ok: true, buckets }
}

/** The longest time in a bucket: itself below 2048, and in wider and wider buckets from there. */
function longestOf(bucket: number): number {
  if (bucket < SINGLE_UNIT_BUCKETS) return bucket
  const doublings = Math.floor(bucket / BUCKETS_PER_DOUBLING) - 1
  const within = (bucket % BUCKETS_PER_DOUBLING) + BUCKETS_PER_DOUBLING
  return (within + 1) * 2 ** doublings - 1
}

function refused(problem: string): ReadLatency {
  return { ok: false, problem }
}
