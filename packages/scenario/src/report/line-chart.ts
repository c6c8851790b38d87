/**
 * One line chart as inline SVG: the x axis logarithmic, the y axis as asked, series told apart by colour.
 * Colours come from the page's custom properties, so that light and dark are the page's affair.
 */

import { scaleLinear, scaleLog } from 'd3-scale'
import { line } from 'd3-shape'

import { html, px } from './markup.ts'
import type { Markup } from './markup.ts'

export interface ChartPoint {
  readonly x: number
  readonly y: number
  /** What the pointer shows. */
  readonly label: string
}

export interface ChartSeries {
  readonly name: string
  /** In order of x; on a logarithmic axis values above 0. */
  readonly points: readonly ChartPoint[]
}

export interface AxisTick {
  readonly value: number
  readonly label: string
}

export interface LineChart {
  readonly title: string
  readonly xTitle: string
  readonly xTicks: readonly AxisTick[]
  /** `binary` is logarithmic too, with its lines on powers of two, for bytes. */
  readonly yScale: 'log' | 'binary' | 'linear'
  readonly formatY: (value: number) => string
  readonly series: readonly ChartSeries[]
  /** Marks on the points; for curves of many points leave them out. */
  readonly marks: boolean
}

/** Distinct colours the page defines: `--series-1` to `--series-8`. */
export const SERIES_MAX = 8

const WIDTH = 580
const HEIGHT = 300
/** Edges of the plot within the picture. */
const LEFT = 78
const RIGHT = WIDTH - 24
const TOP = 12
const BOTTOM = HEIGHT - 48
const MARK_RADIUS = 3.5
/** What the pointer finds around a point. */
const HIT_RADIUS = 9

type Scale = (value: number) => number

/** Draws the chart with its legend; nothing when there is no point. */
export function lineChart(chart: LineChart): Markup | null {
  const series = chart.series.slice(0, SERIES_MAX)
  const points = series.flatMap((of) => of.points)
  if (points.length === 0) return null
  const extent = paddedExtent(points.map((point) => point.x))
  const x = scaleLog(extent, [LEFT, RIGHT])
  const y = yAxis(
    chart.yScale,
    points.map((point) => point.y),
  )
  const xTicks = chart.xTicks.filter(({ value }) => value >= extent[0] && value <= extent[1])
  return html`<figure>
    <figcaption>${chart.title}</figcaption>
    ${series.length > 1 ? legend(series) : null}
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${chart.title}">
      <g class="grid">${y.ticks.map((value) => gridLine(y.scale(value), chart.formatY(value)))}</g>
      <g class="axis">
        <line x1="${LEFT}" x2="${RIGHT}" y1="${BOTTOM}" y2="${BOTTOM}" />
        ${xTicks.map((tick) => centred(x(tick.value), BOTTOM + 18, tick.label))}
        ${centred((LEFT + RIGHT) / 2, HEIGHT - 6, chart.xTitle)}
      </g>
      ${series.map((of, index) =>
        drawSeries(of, index, { x, y: y.scale, marks: chart.marks, named: series.length > 1 }),
      )}
    </svg>
  </figure>`
}

function gridLine(y: number, label: string): Markup {
  return html`<line x1="${LEFT}" x2="${RIGHT}" y1="${px(y)}" y2="${px(y)}" />
    <text x="${LEFT - 8}" y="${px(y + 4)}" text-anchor="end">${label}</text>`
}

function centred(x: number, y: number, label: string): Markup {
  return html`<text x="${px(x)}" y="${px(y)}" text-anchor="middle">${label}</text>`
}

function drawSeries(
  series: ChartSeries,
  index: number,
  how: { readonly x: Scale; readonly y: Scale; readonly marks: boolean; readonly named: boolean },
): Markup {
  const path = line<ChartPoint>(
    (point) => how.x(point.x),
    (point) => how.y(point.y),
  )
  const name = how.named ? `${series.name}\n` : ''
  const circle = (point: ChartPoint, radius: number, tip: Markup | null, kind: string): Markup =>
    html`<circle class="${kind}" cx="${px(how.x(point.x))}" cy="${px(how.y(point.y))}" r="${radius}"
      >${tip}</circle
    >`
  return html`<g style="color: var(--series-${index + 1})">
    <path class="line" d="${path(series.points) ?? ''}" />
    ${how.marks ? series.points.map((point) => circle(point, MARK_RADIUS, null, 'mark')) : null}
    ${series.points.map((point) =>
      circle(point, HIT_RADIUS, html`<title>${name}${point.label}</title>`, 'hit'),
    )}
  </g>`
}

function legend(series: readonly ChartSeries[]): Markup {
  return html`<ul class="legend">
    ${series.map(
      (of, index) =>
        html`<li><span style="background: var(--series-${index + 1})"></span>${of.name}</li>`,
    )}
  </ul>`
}

/** The extent of the values, widened so that a lone value or a flat line stands inside. */
function paddedExtent(values: readonly number[]): [number, number] {
  const least = Math.min(...values)
  const most = Math.max(...values)
  return most / least < 1.5 ? [least / 1.6, most * 1.6] : [least / 1.08, most * 1.08]
}

interface YAxis {
  readonly scale: Scale
  readonly ticks: readonly number[]
}

const Y_RANGE: readonly [number, number] = [BOTTOM, TOP]

function yAxis(kind: LineChart['yScale'], values: readonly number[]): YAxis {
  if (kind === 'linear') {
    const scale = scaleLinear([0, Math.max(...values)], Y_RANGE).nice(5)
    return { scale, ticks: scale.ticks(5) }
  }
  const extent = paddedExtent(values)
  const ticks = kind === 'log' ? decimalTicks(extent) : binaryTicks(extent)
  return { scale: scaleLog(extent, Y_RANGE), ticks }
}

/** Lines on powers of ten when the range is wide, between them too when it is not. */
function decimalTicks([least, most]: readonly [number, number]): number[] {
  const decades = Math.log10(most / least)
  const steps = decades > 4 ? [1] : decades > 1.5 ? [1, 3] : [1, 2, 3, 5, 7]
  const ticks: number[] = []
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++) {
    ticks.push(...steps.map((step) => step * 10 ** power))
  }
  return ticks.filter((value) => value >= least && value <= most)
}

/** Lines on powers of two, seven at most. */
function binaryTicks([least, most]: readonly [number, number]): number[] {
  const first = Math.ceil(Math.log2(least))
  const last = Math.floor(Math.log2(most))
  const step = Math.max(1, Math.ceil((last - first + 1) / 7))
  const ticks: number[] = []
  for (let power = first; power <= last; power += step) ticks.push(2 ** power)
  return ticks
}
