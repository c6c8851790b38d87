/**
 * Latency histograms: decoded from the guests, merged, and summed up.
 *
 * A guest records nanoseconds into an HDR histogram and hands it over as compressed base64 (HdrHistogram
 * V2 encoding), so merging loses nothing: percentiles are read from the merged counts and are never
 * averaged over guests or repeats.
 */

import { build, encodeIntoCompressedBase64 } from 'hdr-histogram-js'
import type { Histogram } from 'hdr-histogram-js'

import { LATENCY_DIGITS, readLatency } from './latency-encoding.ts'

/** What a merged histogram says; times in nanoseconds. */
export interface LatencySummary {
  readonly count: number
  readonly minNs: number
  readonly meanNs: number
  readonly p50Ns: number
  readonly p90Ns: number
  readonly p99Ns: number
  readonly p999Ns: number
  readonly maxNs: number
  /** Points of the percentile curve: share of the samples (0..1) and the time they stay within. */
  readonly curve: readonly CurvePoint[]
  /** All counts, HdrHistogram V2 compressed base64: any HDR tool reads it. */
  readonly histogram: string
}

export interface CurvePoint {
  readonly quantile: number
  readonly ns: number
}

/** A stretch of the distribution and the share of samples in it. */
export interface LatencyBin {
  readonly fromNs: number
  readonly toNs: number
  readonly share: number
}

/** The curve goes on while at least this many samples lie beyond a point. */
const CURVE_MIN_SAMPLES_BEYOND = 1
const CURVE_POINTS_PER_DECADE = 9
const BINS_PER_DOUBLING = 4
/** Halvings that pin a share down to about one in a billion. */
const BISECTIONS = 30

/** An empty histogram of nanoseconds; grows by itself, and counts as far as a double does. */
export function createLatencyHistogram(): Histogram {
  return build({ numberOfSignificantValueDigits: LATENCY_DIGITS, bitBucketSize: 64 })
}

/**
 * Merges encoded histograms; `undefined` when together they hold no sample. Throws one line for a text
 * that is no histogram; bounded in time and memory for any text.
 */
export function mergeLatency(encoded: readonly string[]): LatencySummary | undefined {
  const merged = createLatencyHistogram()
  for (const text of encoded) {
    if (text !== '') addEncoded(merged, text)
  }
  return merged.totalCount === 0 ? undefined : summarize(merged)
}

function addEncoded(histogram: Histogram, text: string): void {
  const read = readLatency(text)
  if (!read.ok) throw new Error(`a latency histogram cannot be read: ${read.problem}`)
  for (const { ns, count } of read.buckets) {
    if (histogram.totalCount + count > Number.MAX_SAFE_INTEGER) {
      throw new Error('latency histograms hold more samples than can be counted')
    }
    histogram.recordValueWithCount(ns, count)
  }
}

/** Reads the summary off one histogram that has at least one sample. */
export function summarize(histogram: Histogram): LatencySummary {
  const at = (percentile: number): number => valueAt(histogram, percentile)
  return {
    count: histogram.totalCount,
    minNs: at(0),
    meanNs: Math.round(histogram.mean),
    p50Ns: at(50),
    p90Ns: at(90),
    p99Ns: at(99),
    p999Ns: at(99.9),
    maxNs: histogram.maxValue,
    curve: curveOf(histogram),
    histogram: encodeIntoCompressedBase64(histogram),
  }
}

/** A percentile is the upper end of its bucket, which can lie above the largest sample: cut there. */
function valueAt(histogram: Histogram, percentile: number): number {
  return Math.min(histogram.getValueAtPercentile(percentile), histogram.maxValue)
}

/** The distribution of an encoded histogram in bins of equal width on a logarithmic axis. */
export function distributionOf(encoded: string): readonly LatencyBin[] {
  const histogram = createLatencyHistogram()
  addEncoded(histogram, encoded)
  if (histogram.totalCount === 0) return []
  const least = Math.max(1, histogram.getValueAtPercentile(0))
  const first = Math.floor(Math.log2(least) * BINS_PER_DOUBLING)
  const last = Math.floor(Math.log2(Math.max(1, histogram.maxValue)) * BINS_PER_DOUBLING)
  const bins: LatencyBin[] = []
  let below = 0
  for (let bin = first; bin <= last; bin++) {
    const toNs = 2 ** ((bin + 1) / BINS_PER_DOUBLING)
    const within = bin === last ? 1 : shareWithin(histogram, toNs)
    bins.push({ fromNs: 2 ** (bin / BINS_PER_DOUBLING), toNs, share: within - below })
    below = within
  }
  return bins
}

/** The share of samples of at most `ns`, by bisection: the histogram answers only the other way. */
function shareWithin(histogram: Histogram, ns: number): number {
  let least = 0
  let most = 1
  for (let step = 0; step < BISECTIONS; step++) {
    const middle = (least + most) / 2
    if (histogram.getValueAtPercentile(middle * 100) <= ns) least = middle
    else most = middle
  }
  return least
}

/** Quantiles spaced evenly on the scale of "one in N is slower", as far out as samples reach. */
function curveOf(histogram: Histogram): CurvePoint[] {
  const points: CurvePoint[] = []
  const decades = Math.log10(histogram.totalCount / CURVE_MIN_SAMPLES_BEYOND)
  for (let step = 0; step / CURVE_POINTS_PER_DECADE <= decades; step++) {
    const quantile = 1 - 10 ** (-step / CURVE_POINTS_PER_DECADE)
    points.push({ quantile, ns: valueAt(histogram, quantile * 100) })
  }
  points.push({ quantile: 1, ns: histogram.maxValue })
  return points
}
