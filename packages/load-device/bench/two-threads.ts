// Throughput and round trips of the device's two ends over a bare ring pair between two threads, both polled
// without a pause: what the programs themselves cost, without bus, interrupts and sleep.
//
//   node packages/load-device/bench/two-threads.ts [--seconds 0.5]

import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { MessageChannel, Worker } from 'node:worker_threads'
import { createRingLink, openRingLink } from '@guestyard/ring'
import type { Channel } from '@guestyard/vmbus'
import type { ChannelLoadSpec, LoadDirection } from '@guestyard/load-device'
import { LoadRunner } from '@guestyard/load-device/vsc'
import type { LoadOutcome } from '@guestyard/load-device/vsc'
import type { HostEndData } from './host-end.ts'

const RING_BYTES = 1024 * 1024
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '0.3' } } })
const durationMs = Number(values.seconds) * 1000

const link = createRingLink(RING_BYTES)
const ring = openRingLink(link, 'a')
const stop = new SharedArrayBuffer(4)
const { port1, port2 } = new MessageChannel()
const workerData: HostEndData = { link, port: port2, stop }
const worker = new Worker(new URL('./host-end.ts', import.meta.url), {
  workerData,
  transferList: [port2],
})
const channel: Channel = {
  relid: 1,
  incoming: ring.incoming,
  outgoing: ring.outgoing,
  targetVp: 0,
  userDefined: new Uint8Array(120),
  signal: () => {},
}

function run(spec: ChannelLoadSpec, latencies: number[] | null): LoadOutcome | undefined {
  let outcome: LoadOutcome | undefined
  const runner = new LoadRunner(channel, {
    spec,
    nowNs: () => performance.now() * 1e6,
    latency: latencies && { recordValue: (value) => latencies.push(value) },
    onDone: (ended) => {
      outcome = ended
    },
  })
  runner.disarm()
  while (runner.state !== 'over') runner.poll(256)
  return outcome
}

const rows: Record<string, string | number>[] = []
const cases: readonly (readonly [LoadDirection, number, number, number])[] = [
  ['guest-to-root', 64, 32, 1],
  ['guest-to-root', 64, 1, 1],
  ['guest-to-root', 256, 32, 1],
  ['guest-to-root', 1024, 32, 1],
  ['guest-to-root', 4096, 32, 1],
  ['guest-to-root', 16384, 32, 1],
  ['root-to-guest', 64, 32, 1],
  ['root-to-guest', 1024, 32, 1],
  ['echo', 64, 32, 256],
  ['echo', 1024, 32, 256],
  ['echo', 64, 1, 1],
]
for (const [direction, payloadBytes, batch, window] of cases) {
  const spec: ChannelLoadSpec = {
    direction,
    payloadBytes,
    batch,
    loop: { kind: 'closed', window },
    warmUp: { kind: 'duration', durationMs: durationMs / 3 },
    measure: { kind: 'duration', durationMs },
  }
  const latencies: number[] | null = window === 1 && direction === 'echo' ? [] : null
  const heapBefore = process.memoryUsage().heapUsed
  const outcome = run(spec, latencies)
  if (outcome?.ok !== true) throw new Error(outcome?.reason)
  const { result } = outcome
  const heapGrowth = process.memoryUsage().heapUsed - heapBefore
  rows.push({
    direction,
    payloadBytes,
    batch,
    window,
    'M packets/s': ((result.packets / result.elapsedNs) * 1e3).toFixed(2),
    'GB/s': (result.bytes / result.elapsedNs).toFixed(2),
    'p50 µs': latencies
      ? (latencies.toSorted((a, b) => a - b)[latencies.length >> 1] ?? 0) / 1e3
      : '',
    'heap B/packet': latencies ? '' : (heapGrowth / result.packets).toFixed(3),
    errors: result.sequenceErrors + result.peerSequenceErrors + result.packetsMissing,
  })
}
console.table(rows)
port1.once('message', (host: { polls: number; heapGrowth: number }) => {
  console.log(`host: heap grew by ${host.heapGrowth} bytes in ${host.polls} polls`)
  port1.close()
})
Atomics.store(new Int32Array(stop), 0, 1)
await new Promise((resolve) => worker.once('exit', resolve))
