// CPU time a packet costs, both ends of the device together, over a bare ring pair in one thread that polls them
// in turn. CPU time, so that a busy machine does not spoil it; caches are warm, so that it is a lower bound.
//
//   node packages/load-device/bench/one-thread.ts [--packets 2000000]

import { parseArgs } from 'node:util'
import { createRingLink, openRingLink } from '@guestyard/ring'
import type { Channel, ChannelProgram } from '@guestyard/vmbus'
import type { ServerChannel } from '@guestyard/vmbus/server'
import { LOAD_CLASS_ID, LOAD_INSTANCE_ID } from '@guestyard/load-device'
import type { ChannelLoadResult, LoadDirection } from '@guestyard/load-device'
import { LoadRunner } from '@guestyard/load-device/vsc'
import type { LoadOutcome } from '@guestyard/load-device/vsc'
import { LoadVsp, RelayHub } from '@guestyard/load-device/vsp'

const RING_BYTES = 1024 * 1024
const POLL_BUDGET = 256
const { values } = parseArgs({ options: { packets: { type: 'string', default: '2000000' } } })

const link = createRingLink(RING_BYTES)
const guest = openRingLink(link, 'a')
const host = openRingLink(link, 'b')
const common = { relid: 1, targetVp: 0, userDefined: new Uint8Array(120), signal: () => {} }
/** As much of the two channels as this device uses; there is no bus, and nobody sleeps. */
const guestChannel: Channel = {
  ...common,
  incoming: guest.incoming,
  outgoing: guest.outgoing,
}
const hostChannel: Omit<ServerChannel, 'domain'> = {
  ...common,
  incoming: host.incoming,
  outgoing: host.outgoing,
  subChannelIndex: 0,
  subChannelCount: 0,
  classId: LOAD_CLASS_ID,
  instanceId: LOAD_INSTANCE_ID,
  busVersion: 0,
  wake: () => {},
  offerSubChannels: () => 0,
  gpadl: () => undefined,
  completeOpen: () => {},
  completeClose: () => {},
  fail: (reason) => {
    throw new Error(`The channel failed: ${reason}.`)
  },
}
const vsp = new LoadVsp({ hub: new RelayHub(), partitionKey: 1 })
const program = vsp.open(hostChannel as ServerChannel) as ChannelProgram
program.disarm()

function run(direction: LoadDirection, payloadBytes: number, batch: number, packets: number) {
  let outcome: LoadOutcome | undefined
  const runner = new LoadRunner(guestChannel, {
    spec: {
      direction,
      payloadBytes,
      batch,
      loop: { kind: 'closed', window: batch * 4 },
      warmUp: { kind: 'packets', packets: packets >> 3 },
      measure: { kind: 'packets', packets },
    },
    nowNs: () => performance.now() * 1e6,
    latency: null,
    onDone: (ended) => {
      outcome = ended
    },
  })
  runner.disarm()
  while (runner.state !== 'over') {
    runner.poll(POLL_BUDGET)
    program.poll(POLL_BUDGET)
  }
  if (outcome?.ok !== true) throw new Error(outcome?.reason)
  return outcome.result
}

function errors(result: ChannelLoadResult): number {
  return result.sequenceErrors + result.peerSequenceErrors + result.packetsMissing
}

const rows: Record<string, string | number>[] = []
const most = Number(values.packets)
const cases: readonly (readonly [LoadDirection, number, number])[] = [
  ['guest-to-root', 64, 1],
  ['guest-to-root', 64, 32],
  ['guest-to-root', 256, 32],
  ['guest-to-root', 1024, 32],
  ['guest-to-root', 4096, 32],
  ['guest-to-root', 65536, 32],
  ['root-to-guest', 64, 32],
  ['echo', 64, 1],
  ['echo', 64, 32],
  ['echo', 1024, 32],
]
for (const [direction, payloadBytes, batch] of cases) {
  const packets = Math.min(most, Math.ceil((most * 512) / payloadBytes))
  // The first round is for the compiler.
  run(direction, payloadBytes, batch, packets >> 2)
  const heap = process.memoryUsage().heapUsed
  const cpu = process.cpuUsage()
  const result = run(direction, payloadBytes, batch, packets)
  const { user, system } = process.cpuUsage(cpu)
  const moved = packets + (packets >> 3)
  rows.push({
    direction,
    payloadBytes,
    batch,
    'CPU ns/packet': (((user + system) * 1000) / moved).toFixed(1),
    'heap B/packet': ((process.memoryUsage().heapUsed - heap) / moved).toFixed(4),
    errors: errors(result),
  })
}
console.table(rows)
