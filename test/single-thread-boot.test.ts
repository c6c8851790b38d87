// A whole life in one thread under a hand-cranked clock: root, bus, guest kernel, a channel of the load device, echo,
// close, unload, deletion. Nothing here waits; what would be a thread is a machine that takes its turn.

import { describe, expect, test } from 'vitest'

import { Echo, boot, yard, type Booted, type Yard } from './one-thread.ts'

function echo(on: Yard, guest: Booted, packets: number): Echo {
  const run = new Echo(on, guest, { packets, payloadBytes: 64, ringBytes: 16 * 4096 })
  run.finish()
  expect(run.isClosed).toBe(true)
  return run
}

describe('a whole life in one thread', () => {
  test.each(['contiguous', 'scattered'] as const)(
    'a guest with %s pages boots, opens a channel, echoes and closes, and nothing waits',
    (placement) => {
      const on = yard()
      const guest = boot(on, {}, placement)
      expect(guest.events.some((event) => event.is === 'connected')).toBe(true)
      expect(guest.events.filter((event) => event.is === 'offer').length).toBe(6)
      expect(guest.events.at(-1)?.is).toBe('offers-delivered')

      const free = guest.kernel.pages.freePages
      const result = echo(on, guest, 1_000).result!
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
    const guests = [boot(on), boot(on, { name: 'b' }, 'scattered')]
    for (const guest of guests) expect(echo(on, guest, 200).result?.packets).toBe(200)
    expect(guests[0]!.partitionId).not.toBe(guests[1]!.partitionId)
  })

  test('the same inputs give the same history: rings, turns and counters', () => {
    const histories = [0, 1].map(() => {
      const on = yard()
      const guest = boot(on)
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
