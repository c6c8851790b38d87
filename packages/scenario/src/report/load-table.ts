/** Loads as rows of a table; text and page show the same columns. */

import type { ChannelReport } from '../load/channel-report.ts'
import { formatBytes, formatCount, formatNs } from '../quantity.ts'

export const LOAD_COLUMNS: readonly string[] = [
  'Load',
  'packets/s',
  'bytes/s',
  'spread',
  'p50',
  'p90',
  'p99',
  'p99.9',
  'max',
  'signals/packet',
  'full-ring waits',
  'CPUs',
  'errors',
]

export function loadRow(load: ChannelReport): string[] {
  const { latency } = load
  const time = (ns: number | undefined): string => (ns === undefined ? '–' : formatNs(ns))
  return [
    load.settings.name,
    formatCount(load.packetsPerSecond),
    `${formatBytes(load.bytesPerSecond)}/s`,
    `${(load.spread * 100).toFixed(0)} %`,
    time(latency?.p50Ns),
    time(latency?.p90Ns),
    time(latency?.p99Ns),
    time(latency?.p999Ns),
    time(latency?.maxNs),
    load.signalsPerPacket === 0 ? '0' : load.signalsPerPacket.toPrecision(2),
    formatCount(load.fullRingWaits),
    load.processorsUsed.toFixed(2),
    String(load.sequenceErrors),
  ]
}
