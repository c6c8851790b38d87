// Every way in which a guest can load its channels, through the real bus on real threads, in small numbers: what comes out is
// whole. How fast it is belongs to scripts/channel-throughput.ts.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type {
  LoadDirection,
  LoadLoop,
  LoadResult,
  LoadSpec,
  LoadWaiting,
} from '@guestyard/load-device/protocol'
import { startHost, type Host, type Vm } from '@guestyard/management'

const MIB = 1024 * 1024
const PACKETS = 1_500
const DIRECTIONS: readonly LoadDirection[] = ['guest-to-root', 'root-to-guest', 'both', 'echo']
const WAITING: readonly LoadWaiting[] = ['busy', 'adaptive', 'block', 'event-loop']
const CLOSED: LoadLoop = { kind: 'closed', window: 64 }
const SPEC: LoadSpec = {
  direction: 'echo',
  payloadBytes: 64,
  batch: 1,
  loop: CLOSED,
  warmUp: { kind: 'packets', packets: 100 },
  measure: { kind: 'packets', packets: PACKETS },
  channels: 1,
  // Three data pages and five: no power of two, and small enough to be full at times.
  sendRingBytes: 4 * 4096,
  receiveRingBytes: 6 * 4096,
  waiting: 'adaptive',
  spinMicroseconds: 20,
}

describe('a load through the whole bus', () => {
  let host: Host
  let guests: readonly Vm[]

  beforeAll(async () => {
    host = await startHost({ log: { level: 'silent' } })
    guests = (['contiguous', 'scattered'] as const).map((placement) =>
      host.createVm({ name: placement, memoryBytes: 8 * MIB, placement }),
    )
    await Promise.all(guests.map((guest) => guest.start()))
  })

  afterAll(async () => {
    await host.close()
  })

  /** Both guests at once: one with its pages in a row, one with no two neighbours. */
  async function runAll(spec: LoadSpec): Promise<void> {
    const results = await Promise.all(guests.map((guest) => guest.runLoad(spec)))
    for (const result of results) expectWhole(result, spec)
  }

  for (const waiting of WAITING) {
    test.each(DIRECTIONS)(
      `%s, waiting ${waiting}, one by one and in batches, loses nothing`,
      async (direction) => {
        for (const batch of [1, 7, 32]) await runAll({ ...SPEC, direction, waiting, batch })
      },
    )

    test(`at a rate, waiting ${waiting}, loses nothing and records each latency`, async () => {
      const loop: LoadLoop = { kind: 'open', packetsPerSecond: 20_000 }
      const spec = { ...SPEC, waiting, loop, measure: { kind: 'packets', packets: 500 } } as const
      await runAll({ ...spec, direction: 'guest-to-root' })
      await runAll({ ...spec, direction: 'echo' })
    })
  }

  test.each(DIRECTIONS)(
    '%s on three channels of each guest loses nothing on any',
    async (direction) => {
      for (const waiting of ['adaptive', 'event-loop'] as const) {
        await runAll({ ...SPEC, direction, waiting, channels: 3, batch: 8 })
      }
    },
  )

  test.each([8, 9, 15, 16, 4_000])(
    'payloads of %i bytes come whole, padding and wraps included',
    async (payloadBytes) => {
      for (const direction of DIRECTIONS) {
        await runAll({ ...SPEC, direction, payloadBytes, batch: 4 })
      }
    },
  )

  // A receiver gives space back while the sender, which waits for it, writes at once: the two meet at the ring's indices.
  test('rings that are kept full, run after run, lose nothing and never break', async () => {
    const full: LoadSpec = {
      ...SPEC,
      payloadBytes: 256,
      batch: 16,
      sendRingBytes: 65_536,
      receiveRingBytes: 65_536,
      measure: { kind: 'packets', packets: 10_000 },
      waiting: 'event-loop',
    }
    for (const direction of ['guest-to-root', 'root-to-guest', 'both'] as const) {
      for (let run = 0; run < 12; run += 1) await runAll({ ...full, direction })
    }
  })

  test('loads of different kinds in two guests at once do not meet', async () => {
    const [first, second] = guests as [Vm, Vm]
    const specs = [
      { ...SPEC, direction: 'both', waiting: 'block', batch: 16 },
      { ...SPEC, direction: 'echo', waiting: 'busy', payloadBytes: 1_000 },
    ] as const satisfies LoadSpec[]
    const results = await Promise.all([first.runLoad(specs[0]), second.runLoad(specs[1])])
    expectWhole(results[0], specs[0])
    expectWhole(results[1], specs[1])
  })

  test('a hundred runs one after the other leave guests and root with what they had', async () => {
    const [guest] = guests as [Vm]
    const before = await guest.inspectGuest()
    const { partitions } = await host.inspect()
    for (let run = 0; run < 100; run += 1) {
      await guest.runLoad({ ...SPEC, channels: 2, measure: { kind: 'packets', packets: 10 } })
    }
    expect((await guest.inspectGuest()).pagesFree).toBe(before.pagesFree)
    const after = (await host.inspect()).partitions
    expect(after.map(busOf)).toEqual(partitions.map(busOf))
  })
})

function expectWhole(result: LoadResult, spec: LoadSpec): void {
  const { sequenceErrors, peerSequenceErrors, packetsMissing } = result
  const what = `${spec.direction}, ${spec.waiting}, batch ${spec.batch}, ${spec.payloadBytes} B`
  expect({ sequenceErrors, peerSequenceErrors, packetsMissing }, what).toEqual({
    sequenceErrors: 0,
    peerSequenceErrors: 0,
    packetsMissing: 0,
  })
  expect(result.channels, what).toHaveLength(spec.channels)
  const wanted = spec.measure.kind === 'packets' ? spec.measure.packets : 1
  for (const channel of result.channels) {
    expect(channel.packets, what).toBeGreaterThanOrEqual(wanted)
    expect(channel.elapsedNs, what).toBeGreaterThan(0)
  }
  if (spec.direction !== 'echo') return
  expect(result.latency?.count, what).toBeGreaterThanOrEqual(wanted)
}

/** What a partition holds of the root's bus. */
function busOf({ vmbus }: { readonly vmbus: unknown }): object {
  const bus = Object(vmbus) as Readonly<Record<string, unknown>>
  const { relidsInUse, devicesInUse, gpadls, queuedMessages } = bus
  return { relidsInUse, devicesInUse, gpadls, queuedMessages }
}
