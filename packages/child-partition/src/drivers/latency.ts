import hdr from 'hdr-histogram-js'
import type { Histogram } from 'hdr-histogram-js'
import type { EncodedLatency } from '@guestyard/load-device/protocol'

/** A minute: what is slower is recorded as this. */
const LONGEST_NS = 60_000_000_000
const SIGNIFICANT_DIGITS = 3

/** Latencies of one run, in nanoseconds. Recording allocates nothing. */
export class LatencyRecorder {
  readonly #histogram: Histogram

  constructor() {
    this.#histogram = hdr.build({
      lowestDiscernibleValue: 1,
      highestTrackableValue: LONGEST_NS,
      numberOfSignificantValueDigits: SIGNIFICANT_DIGITS,
      autoResize: false,
      useWebAssembly: false,
    })
  }

  recordValue(ns: number): void {
    const whole = ns < 0 ? 0 : Math.floor(ns)
    this.#histogram.recordValue(whole > LONGEST_NS ? LONGEST_NS : whole)
  }

  /** What was recorded, or null when nothing was. */
  encode(): EncodedLatency | null {
    const histogram = this.#histogram
    if (histogram.totalCount === 0) return null
    return {
      histogram: hdr.encodeIntoCompressedBase64(histogram),
      count: histogram.totalCount,
      minNs: histogram.minNonZeroValue,
      meanNs: histogram.mean,
      p50Ns: histogram.getValueAtPercentile(50),
      p99Ns: histogram.getValueAtPercentile(99),
      maxNs: histogram.maxValue,
    }
  }
}
