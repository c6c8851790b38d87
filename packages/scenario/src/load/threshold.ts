/** Bounds on a load's figures, written as text: `packetsPerSecond>=1e6`, `p99<50us`. */

import type { CheckResult } from '../expect.ts'
import { InputError } from '../input-error.ts'
import {
  formatBytes,
  formatCount,
  formatNs,
  parseByteSize,
  parseDurationMs,
  show,
} from '../quantity.ts'
import type { ChannelReport } from './channel-report.ts'
import { measuresLatency } from './settings.ts'
import type { LoadSettings } from './settings.ts'

type Unit = 'count' | 'bytes' | 'ns'

interface Metric {
  readonly unit: Unit
  readonly read: (report: ChannelReport) => number | undefined
}

/** What a bound may name. */
export type ThresholdMetric =
  | 'packetsPerSecond'
  | 'bytesPerSecond'
  | 'p50'
  | 'p90'
  | 'p99'
  | 'p999'
  | 'max'
  | 'signalsPerPacket'
  | 'fullRingWaits'
  | 'processorsUsed'
  | 'sequenceErrors'

const METRICS: Readonly<Record<ThresholdMetric, Metric>> = {
  packetsPerSecond: { unit: 'count', read: (r) => r.packetsPerSecond },
  bytesPerSecond: { unit: 'bytes', read: (r) => r.bytesPerSecond },
  p50: { unit: 'ns', read: (r) => r.latency?.p50Ns },
  p90: { unit: 'ns', read: (r) => r.latency?.p90Ns },
  p99: { unit: 'ns', read: (r) => r.latency?.p99Ns },
  p999: { unit: 'ns', read: (r) => r.latency?.p999Ns },
  max: { unit: 'ns', read: (r) => r.latency?.maxNs },
  signalsPerPacket: { unit: 'count', read: (r) => r.signalsPerPacket },
  fullRingWaits: { unit: 'count', read: (r) => r.fullRingWaits },
  processorsUsed: { unit: 'count', read: (r) => r.processorsUsed },
  sequenceErrors: { unit: 'count', read: (r) => r.sequenceErrors },
}

type Comparison = '>=' | '<=' | '>' | '<'

/** A bound, checked. `value` is in packets or counts, bytes or nanoseconds, as the metric is. */
export interface Threshold {
  readonly metric: ThresholdMetric
  readonly comparison: Comparison
  readonly value: number
  readonly text: string
}

const THRESHOLD = /^\s*([A-Za-z0-9]+)\s*(>=|<=|>|<)\s*(.+?)\s*$/

/** Reads one bound; throws `InputError` at `where`. */
export function parseThreshold(text: string, where = 'threshold'): Threshold {
  const parts = THRESHOLD.exec(text)
  const metric = parts?.[1] ?? ''
  const written = parts?.[3] ?? ''
  const comparison = comparisonOf(parts?.[2])
  if (comparison === undefined) {
    throw new InputError(where, `${show(text)} is not METRIC>=VALUE, such as packetsPerSecond>=1e6`)
  }
  if (!isMetric(metric)) {
    throw new InputError(
      where,
      `unknown metric ${show(metric)} (known: ${thresholdMetrics().join(', ')})`,
    )
  }
  const value = parseBound(METRICS[metric].unit, written)
  if (value === undefined) {
    throw new InputError(where, `${show(written)} is not ${UNIT_WORDS[METRICS[metric].unit]}`)
  }
  return { metric, comparison, value, text: text.trim() }
}

/** The metrics a bound may name. */
export function thresholdMetrics(): readonly string[] {
  return Object.keys(METRICS)
}

/** Throws `InputError` at `where` for a bound on latency when none of the loads measures any. */
export function checkMeasured(
  threshold: Threshold,
  loads: readonly LoadSettings[],
  where = 'threshold',
): void {
  if (METRICS[threshold.metric].unit !== 'ns' || loads.some(measuresLatency)) return
  throw new InputError(
    where,
    `${threshold.metric} is not measured by a closed loop without echo: ask for direction echo or a rate`,
  )
}

/** Holds a report against a bound; what was not measured does not pass. */
export function checkThreshold(threshold: Threshold, report: ChannelReport): CheckResult {
  const { unit, read } = METRICS[threshold.metric]
  const actual = read(report)
  return {
    name: `${report.settings.name}: ${threshold.metric}`,
    passed: actual !== undefined && compare(actual, threshold.comparison, threshold.value),
    actual: actual === undefined ? 'not measured' : FORMATS[unit](actual),
    bound: `${threshold.comparison} ${FORMATS[unit](threshold.value)}`,
  }
}

const UNIT_WORDS: Record<Unit, string> = {
  count: 'a number such as 1e6',
  bytes: "a number of bytes or a size such as '500 MiB'",
  ns: "a duration such as '50 us'",
}

const FORMATS: Record<Unit, (value: number) => string> = {
  count: formatCount,
  bytes: formatBytes,
  ns: formatNs,
}

function parseBound(unit: Unit, written: string): number | undefined {
  if (unit === 'ns') {
    const duration = parseDurationMs(written)
    return duration.ok ? duration.value * 1e6 : undefined
  }
  if (/^\d+(\.\d+)?(e\d+)?$/i.test(written)) return Number(written)
  if (unit === 'count') return undefined
  const size = parseByteSize(written)
  return size.ok ? size.value : undefined
}

function compare(actual: number, comparison: Comparison, bound: number): boolean {
  switch (comparison) {
    case '>=':
      return actual >= bound
    case '<=':
      return actual <= bound
    case '>':
      return actual > bound
    case '<':
      return actual < bound
  }
}

function comparisonOf(text: string | undefined): Comparison | undefined {
  return text === '>=' || text === '<=' || text === '>' || text === '<' ? text : undefined
}

function isMetric(name: string): name is ThresholdMetric {
  return Object.hasOwn(METRICS, name)
}
