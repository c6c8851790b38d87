/** The charts of a report: throughput by size, the percentile curve, and the distribution. */

import { formatBytes, formatCount, formatNs } from '../quantity.ts'
import type { ChannelReport } from '../load/channel-report.ts'
import { distributionOf } from '../load/latency.ts'
import { lineChart, SERIES_MAX } from './line-chart.ts'
import type { AxisTick, ChartSeries } from './line-chart.ts'
import type { Markup } from './markup.ts'

/** Every power of four that a payload can have. */
const SIZE_TICKS: readonly AxisTick[] = [8, 16, 64, 256, 1024, 4096, 16_384, 65_536].map(
  (bytes) => ({
    value: bytes,
    label: formatBytes(bytes),
  }),
)

/** "One in N is slower", with the percentile's usual name. */
const PERCENTILE_TICKS: readonly AxisTick[] = [
  { value: 2, label: '50 %' },
  { value: 10, label: '90 %' },
  { value: 100, label: '99 %' },
  { value: 1e3, label: '99.9 %' },
  { value: 1e4, label: '99.99 %' },
  { value: 1e5, label: '99.999 %' },
  { value: 1e6, label: '99.9999 %' },
  { value: 1e7, label: '99.99999 %' },
]

/** Packets a second and bytes a second over the payload size; needs two sizes at least. */
export function throughputCharts(loads: readonly ChannelReport[]): readonly (Markup | null)[] {
  const groups = bySeries(loads).filter((group) => group.loads.length > 1)
  if (groups.length === 0) return []
  const seriesOf = (
    read: (load: ChannelReport) => number,
    format: (value: number) => string,
  ): ChartSeries[] =>
    groups.map((group) => ({
      name: group.name,
      points: group.loads
        .filter((load) => read(load) > 0)
        .map((load) => ({
          x: load.settings.payloadBytes,
          y: read(load),
          label: `${formatBytes(load.settings.payloadBytes)}: ${format(read(load))}`,
        })),
    }))
  const perSecond = (value: number): string => `${formatBytes(value)}/s`
  const common = {
    xTitle: 'payload of a packet',
    xTicks: SIZE_TICKS,
    marks: true,
  } as const
  return [
    lineChart({
      ...common,
      title: 'Packets a second by payload size',
      yScale: 'log',
      formatY: formatCount,
      series: seriesOf(
        (load) => load.packetsPerSecond,
        (value) => `${formatCount(value)} packets/s`,
      ),
    }),
    lineChart({
      ...common,
      title: 'Bytes a second by payload size',
      yScale: 'binary',
      formatY: perSecond,
      series: seriesOf((load) => load.bytesPerSecond, perSecond),
    }),
  ]
}

/** How slow the slowest one in N is, for each load that has latencies. */
export function percentileChart(loads: readonly ChannelReport[]): Markup | null {
  const series = withLatency(loads).map(({ name, latency }) => ({
    name,
    points: latency.curve
      .filter((point) => point.quantile < 1 && point.ns > 0)
      .map((point) => ({
        x: 1 / (1 - point.quantile),
        y: point.ns,
        label: `${percent(point.quantile, 8)} within ${formatNs(point.ns)}`,
      })),
  }))
  return lineChart({
    title: 'Latency by percentile',
    xTitle: 'share of packets',
    xTicks: PERCENTILE_TICKS,
    yScale: 'log',
    formatY: formatNs,
    series,
    marks: false,
  })
}

/** Where the samples lie: the share of them in each quarter of a doubling of the time. */
export function distributionChart(loads: readonly ChannelReport[]): Markup | null {
  const series = withLatency(loads).map(({ name, latency }) => ({
    name,
    points: distributionOf(latency.histogram).map(({ fromNs, toNs, share }) => ({
      x: Math.sqrt(fromNs * toNs),
      y: share,
      label: `${formatNs(fromNs)} to ${formatNs(toNs)}: ${percent(share, 3)} of the packets`,
    })),
  }))
  return lineChart({
    title: 'Latency distribution',
    xTitle: 'latency',
    xTicks: timeTicks(),
    yScale: 'linear',
    formatY: (value) => percent(value, 3),
    series,
    marks: false,
  })
}

interface LoadGroup {
  readonly name: string
  readonly loads: readonly ChannelReport[]
}

/** Loads that differ only in their payload are one line. */
function bySeries(loads: readonly ChannelReport[]): readonly LoadGroup[] {
  const groups = new Map<string, ChannelReport[]>()
  for (const load of loads) {
    const name = seriesName(load)
    groups.set(name, [...(groups.get(name) ?? []), load])
  }
  return [...groups].map(([name, members]) => ({
    name,
    loads: members.toSorted((a, b) => a.settings.payloadBytes - b.settings.payloadBytes),
  }))
}

function seriesName(load: ChannelReport): string {
  const { direction, batch, guests, channels, waiting, window, ratePerSecond } = load.settings
  const parts = [direction, direction === 'echo' ? `window ${window}` : `batch ${batch}`]
  if (guests > 1) parts.push(`${guests} guests`)
  if (channels > 1) parts.push(`${channels} channels`)
  if (ratePerSecond !== null) parts.push(`${formatCount(ratePerSecond)}/s`)
  parts.push(waiting)
  return parts.join(', ')
}

function withLatency(
  loads: readonly ChannelReport[],
): { name: string; latency: NonNullable<ChannelReport['latency']> }[] {
  return loads
    .flatMap((load) =>
      load.latency === null ? [] : [{ name: load.settings.name, latency: load.latency }],
    )
    .slice(0, SERIES_MAX)
}

function timeTicks(): AxisTick[] {
  const ticks: AxisTick[] = []
  for (let power = 1; power <= 10; power++) {
    for (const step of [1, 3]) {
      ticks.push({ value: step * 10 ** power, label: formatNs(step * 10 ** power) })
    }
  }
  return ticks
}

function percent(share: number, digits: number): string {
  return `${Number((share * 100).toPrecision(digits))} %`
}
