/** The figures of `npm start` as tables. */

import { alignTable, formatBytes, formatCount, formatNs, median } from '@guestyard/scenario'

import { disturbance } from '../peers/steady-rounds.ts'
import { THROUGHPUT_PEERS } from './measure.ts'
import type { RoundTrips, ThroughputSize, WaitName } from './measure.ts'

const PEER_TITLES = {
  post: 'postMessage copy',
  transfer: 'postMessage transfer',
  'ringbuf.js': 'ringbuf.js',
} as const

export function throughputLines(sizes: readonly ThroughputSize[]): readonly string[] {
  const header = ['  payload', 'bus packets/s', 'bytes/s']
  for (const peer of THROUGHPUT_PEERS) header.push(PEER_TITLES[peer], 'bus is')
  const rows = sizes.map(({ payloadBytes, packetsPerSecond, busOver }) => {
    const { bus } = packetsPerSecond
    const row = [
      `  ${formatBytes(payloadBytes)}`,
      formatCount(bus),
      `${formatBytes(bus * payloadBytes)}/s`,
    ]
    for (const peer of THROUGHPUT_PEERS) {
      row.push(formatCount(packetsPerSecond[peer]), `${times(busOver[peer])}×`)
    }
    return row
  })
  const probes = sizes.flatMap((size) => size.probesNs)
  return [...indentRule(alignTable(header, rows)), probeLine(probes), '']
}

export function roundTripLines(trips: RoundTrips): readonly string[] {
  const { bus, messagePort, portOverBus } = trips
  const row = (title: string, of: { p50Ns: number; p99Ns: number }, ratio: string): string[] => [
    `  ${title}`,
    formatNs(of.p50Ns),
    formatNs(of.p99Ns),
    ratio,
  ]
  const rows = (Object.keys(bus) as WaitName[]).map((name) =>
    row(`bus, guest waits ${name}`, bus[name], shareOf(portOverBus[name])),
  )
  rows.push(row('MessagePort', messagePort, '1'))
  return [
    ...indentRule(alignTable(['  round trip', 'p50', 'p99', 'of MessagePort'], rows)),
    probeLine(trips.probesNs),
    '',
  ]
}

/** The bus's time as a share of MessagePort's, given the other way round. */
function shareOf(portOverBus: number): string {
  return portOverBus >= 1 ? `1/${times(portOverBus)}` : `${times(1 / portOverBus)}×`
}

function probeLine(probesNs: readonly number[]): string {
  const plain = `two spinning threads of this machine meet in ${formatNs(median(probesNs))} at the moment`
  return `  (${disturbance(probesNs) ?? plain})`
}

function indentRule(lines: readonly string[]): readonly string[] {
  return lines.map((line) => (line.startsWith('──') ? `  ${line.slice(2)}` : line))
}

function times(ratio: number): string {
  return ratio >= 10 ? ratio.toFixed(0) : ratio.toPrecision(2)
}
