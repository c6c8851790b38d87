// CPU time a packet costs, both ends of the device together, over bare ring pairs in one thread that polls them
// in turn. CPU time, so that a busy machine does not spoil it; caches are warm, so that it is a lower bound. Heap: bytes
// that were allocated, whether or not they were freed again.
//
//   node packages/load-device/bench/one-thread.ts [--packets 2000000]

import { parseArgs } from 'node:util'
import { getHeapStatistics } from 'node:v8'
import { createRingLink, openRingLink } from '@guestyard/ring'
import type { RingPort } from '@guestyard/ring'
import type { Channel } from '@guestyard/vmbus'
import type { ChannelLoadResult, LoadDirection } from '@guestyard/load-device'
import { LoadRunner, RelayReceiver, RelaySender } from '@guestyard/load-device/vsc'
import type { LoadOutcome, RelayReceiverOutcome } from '@guestyard/load-device/vsc'
import { RelayHub } from '@guestyard/load-device/vsp'
import { openBareHost } from '../test/bare-host.ts'

const RING_BYTES = 1024 * 1024
const POLL_BUDGET = 256
const CHUNK_BYTES = 256 * 1024
const { values } = parseArgs({ options: { packets: { type: 'string', default: '2000000' } } })
const hub = new RelayHub()
const first = openPartition(1)
const second = openPartition(2)

/** As much of a guest's channel as this device uses, and the host's program at its other end. */
function openPartition(partitionKey: number) {
  const link = createRingLink(RING_BYTES)
  const guest: RingPort = openRingLink(link, 'a')
  const channel: Omit<Channel, 'memory'> = {
    relid: 1,
    targetVp: 0,
    userDefined: new Uint8Array(120),
    signal: () => {},
    incoming: guest.incoming,
    outgoing: guest.outgoing,
  }
  const { program } = openBareHost(openRingLink(link, 'b'), { hub, partitionKey })
  return { channel: channel as Channel, program }
}

/** Bytes ever allocated on this heap, or in use where V8 does not count them. */
function allocatedBytes(): number {
  const statistics = getHeapStatistics() as {
    total_allocated_bytes?: number
    used_heap_size: number
  }
  return statistics.total_allocated_bytes ?? statistics.used_heap_size
}

function run(direction: LoadDirection, payloadBytes: number, batch: number, packets: number) {
  let outcome: LoadOutcome | undefined
  const runner = new LoadRunner(first.channel, {
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
    first.program.poll(POLL_BUDGET)
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
  const row = measured(packets + (packets >> 3), () => {
    const result = run(direction, payloadBytes, batch, packets)
    return errors(result)
  })
  rows.push({ direction, payloadBytes, batch, ...row })
}
for (const [payloadBytes, packets] of [
  [16_384, Math.ceil(most / 32)],
  [65_536, Math.ceil(most / 128)],
] as const) {
  relay(payloadBytes, packets >> 2)
  const row = measured(packets, () => relay(payloadBytes, packets))
  rows.push({ direction: 'relay, four ends', payloadBytes, batch: '', ...row })
}
console.table(rows)

/** What one packet of `packets` costs in `work`, which returns what went wrong. */
function measured(packets: number, work: () => number): Record<string, string | number> {
  const cpu = process.cpuUsage()
  const heap = allocatedBytes()
  const wrong = work()
  const bytes = allocatedBytes() - heap
  const { user, system } = process.cpuUsage(cpu)
  return {
    'CPU ns/packet': (((user + system) * 1000) / packets).toFixed(1),
    'heap B/packet': (bytes / packets).toFixed(4),
    errors: wrong,
  }
}

/** Streams `packets` packets from the first partition to the second. Packets missing or out of order. */
function relay(payloadBytes: number, packets: number): number {
  const streamId = 1
  const chunk = new Uint8Array(CHUNK_BYTES)
  const taken = new Uint8Array(CHUNK_BYTES)
  let isWritable = false
  let isReadable = false
  let hasSent = false
  let outcome: RelayReceiverOutcome | undefined
  const receiver = new RelayReceiver(second.channel, {
    streamId,
    onReadable: () => {
      isReadable = true
    },
    onDone: (ended) => {
      outcome = ended
    },
  })
  const sender = new RelaySender(first.channel, {
    streamId,
    payloadBytes,
    onWritable: () => {
      isWritable = true
    },
    onDone: (ended) => {
      if (!ended.ok) throw new Error(ended.reason)
      hasSent = true
    },
  })
  const dataBytes = payloadBytes - 8
  const cut = CHUNK_BYTES - (CHUNK_BYTES % dataBytes)
  let left = packets * dataBytes
  let at = 0
  receiver.disarm()
  sender.disarm()
  const isOver = (): boolean => hasSent && outcome !== undefined
  while (!isOver()) {
    if (isWritable && left > 0) {
      const count = sender.write(chunk, at, Math.min(cut - at, left))
      if (count === 0) isWritable = false
      left -= count
      at = at + count === cut ? 0 : at + count
      if (left === 0) sender.end()
    }
    sender.poll(POLL_BUDGET)
    first.program.poll(POLL_BUDGET)
    second.program.poll(POLL_BUDGET)
    receiver.poll(POLL_BUDGET)
    while (isReadable) isReadable = receiver.read(taken, 0, CHUNK_BYTES) > 0
  }
  if (outcome?.ok !== true) throw new Error(outcome?.reason)
  return outcome.sequenceErrors + Math.abs(outcome.packets - packets)
}
