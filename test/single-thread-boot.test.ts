// A whole life in one thread under a hand-cranked clock: root, bus, guest kernel, a channel of the load device, echo,
// close, unload, deletion. Nothing here waits; what would be a thread is a machine that takes its turn.

import { describe, expect, test } from 'vitest'
import { Kernel } from '@guestyard/child-partition'
import { ManualClock, SingleThread } from '@guestyard/engine'
import { GuestMemory } from '@guestyard/guestmem'
import { VirtualProcessor } from '@guestyard/hypervisor'
import { LOAD_CLASS_ID, type ChannelLoadResult } from '@guestyard/load-device/protocol'
import { LoadRunner } from '@guestyard/load-device/vsc'
import { RootPartition } from '@guestyard/root-partition'
import type { VmbusClientEvent } from '@guestyard/vmbus/client'

const MIB = 1024 * 1024
const RING_BYTES = 16 * 4096

interface Yard {
  readonly clock: ManualClock
  readonly root: RootPartition
  readonly threads: SingleThread
  /** Doorbell rings by direction. */
  readonly rings: { toRoot: number; toGuest: number }
}

function yard(): Yard {
  const clock = new ManualClock()
  const rings = { toRoot: 0, toGuest: 0 }
  const root = new RootPartition({
    clock,
    clockOriginMs: 0,
    logicalProcessors: 1,
    openDoorbells: () => ({
      vp: { ring: () => void (rings.toGuest += 1) },
      vpBuffer: new SharedArrayBuffer(64),
      rootBuffer: new SharedArrayBuffer(64),
    }),
    closeDoorbells: () => {},
    onBusEvent: () => {},
  })
  return { clock, root, threads: new SingleThread({ machines: [root] }), rings }
}

interface Booted {
  readonly partitionId: number
  readonly kernel: Kernel
  readonly events: VmbusClientEvent[]
}

function boot(on: Yard, name: string, placement: 'contiguous' | 'scattered'): Booted {
  const created = on.root.createPartition({
    name,
    memoryBytes: 4 * MIB,
    vpCount: 1,
    weight: 100,
  })
  if (!created.ok) throw new Error(created.reason)
  const memory = GuestMemory.attach(created.start.memory)
  const vp = new VirtualProcessor(created.start.vps[0]!.handles, {
    memory,
    wakeRoot: { ring: () => void (on.rings.toRoot += 1) },
    clock: on.clock,
  })
  const events: VmbusClientEvent[] = []
  const kernel = new Kernel({
    vp,
    memory,
    placement,
    clock: on.clock,
    onBusEvent: (event) => events.push(event),
    wake: () => {},
  })
  const found = kernel.start()
  if (!found.ok) throw new Error(found.reason)
  on.threads.add(kernel)
  on.threads.settle()
  return { partitionId: created.start.partitionId, kernel, events }
}

/** Opens the guest's load device and echoes `packets` packets over it. */
function echo(on: Yard, guest: Booted, packets: number): ChannelLoadResult {
  const offer = guest.kernel.bus.offers().find((one) => one.classId === LOAD_CLASS_ID)
  if (offer === undefined) throw new Error('the load device is not offered')
  const outcome: { result: ChannelLoadResult | null; reason: string } = { result: null, reason: '' }
  let closed = false
  const channel = guest.kernel.bus.open(
    offer,
    { sendBytes: RING_BYTES, receiveBytes: RING_BYTES },
    {
      opened: (open) =>
        new LoadRunner(open, {
          spec: {
            direction: 'echo',
            payloadBytes: 64,
            batch: 4,
            loop: { kind: 'closed', window: 16 },
            warmUp: { kind: 'packets', packets: 0 },
            measure: { kind: 'packets', packets },
          },
          nowNs: () => on.clock.now100ns * 100,
          latency: null,
          onDone: (done) => {
            if (done.ok) outcome.result = done.result
            else outcome.reason = done.reason
          },
        }),
      closed: () => void (closed = true),
    },
  )
  on.threads.runUntil(
    () => outcome.result !== null || outcome.reason !== '',
    () => on.clock.advanceMs(1),
  )
  if (outcome.result === null) throw new Error(outcome.reason)
  guest.kernel.bus.close(channel!)
  on.threads.settle()
  expect(closed).toBe(true)
  return outcome.result
}

describe('a whole life in one thread', () => {
  test.each(['contiguous', 'scattered'] as const)(
    'a guest with %s pages boots, opens a channel, echoes and closes, and nothing waits',
    (placement) => {
      const on = yard()
      const guest = boot(on, 'a', placement)
      expect(guest.events.some((event) => event.is === 'connected')).toBe(true)
      expect(guest.events.filter((event) => event.is === 'offer').length).toBe(6)
      expect(guest.events.at(-1)?.is).toBe('offers-delivered')

      const free = guest.kernel.pages.freePages
      const result = echo(on, guest, 1_000)
      expect(result.packets).toBe(1_000)
      expect(result.sequenceErrors + result.peerSequenceErrors + result.packetsMissing).toBe(0)
      expect(guest.kernel.pages.freePages).toBe(free)

      guest.kernel.bus.unload()
      on.threads.settle()
      expect(guest.events.at(-1)?.is).toBe('unloaded')
      void on.root.deletePartition(guest.partitionId)
      expect(on.root.inspect().partitions).toEqual([])
    },
  )

  test('two guests take their turns and each gets its own answers', () => {
    const on = yard()
    const guests = [boot(on, 'a', 'contiguous'), boot(on, 'b', 'scattered')]
    for (const guest of guests) expect(echo(on, guest, 200).packets).toBe(200)
    expect(guests[0]!.partitionId).not.toBe(guests[1]!.partitionId)
  })

  test('the same inputs give the same history: rings, turns and counters', () => {
    const histories = [0, 1].map(() => {
      const on = yard()
      const guest = boot(on, 'a', 'contiguous')
      echo(on, guest, 500)
      return JSON.stringify([
        on.rings,
        on.threads.turns,
        on.root.inspect(),
        guest.kernel.vp.inspect(),
      ])
    })
    expect(histories[0]).toBe(histories[1])
  })
})
