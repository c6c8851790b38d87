// A guest that writes anything into everything it can write: its VP pages, its partition page, its RAM. The root goes on, in
// bounded steps, and its neighbour notices nothing.

import { HvStatus } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { Hypervisor } from '@guestyard/hypervisor'
import { ROOT_PARTITION_ID, VirtualProcessor } from '@guestyard/hypervisor'
import { GuestMemory } from '@guestyard/guestmem'
import { connectionId, hypercallInputLow, portId } from '@guestyard/hvdef'
import { PARTITION_PAGE, messageBuffer, slotSequence } from '../src/partition-page.ts'
import { INBOX_SUMMARY, INBOX_TAIL, OUTBOX_FLAGS, OUTBOX_SUMMARY, VP_PAGE } from '../src/vp-page.ts'
import { Bell, Guest, Mailbox, RAM_BYTES, SINT, Signals, TestClock } from './guest.ts'

/** A pass over one VP hands on at most sixteen messages of each of eight queues, every flag, and one notice. */
const PASS_MAX = 8 * 16 * 2 + 2048 + 1

const word = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.constantFrom(0, -1, 1, 16, 17, 0x7fff_ffff),
)

describe('scribbling over every shared word', () => {
  const rows = [
    ...VP_PAGE.map((row) => ({ ...row, page: 'vp' as const })),
    ...PARTITION_PAGE.map((row) => ({ ...row, page: 'partition' as const })),
  ]
  const scribble = fc.tuple(fc.constantFrom(...rows), fc.nat(), word)
  const act = fc.constantFrom(
    'poll',
    'message',
    'signal',
    'deliver',
    'post',
    'call',
    'ping',
    'connect',
    'delete port',
  )

  test('no step throws, no pass is unbounded, and the neighbour’s messages and signals arrive as if nothing was', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 3, arbitrary: scribble }, { weight: 2, arbitrary: act }), {
          maxLength: 200,
        }),
        (steps) => {
          const guest = new Guest().boot()
          guest.messagePort(1, new Mailbox())
          guest.eventPort(0x2001, 5, new Signals())
          const neighbour = joinNeighbour(guest.hypervisor)
          const handles = guest.partition.handlesFor(0)!
          const pages = {
            vp: new Int32Array(handles.vpPage),
            partition: new Int32Array(handles.partitionPage),
          }
          for (const step of steps) {
            if (typeof step === 'string') perform(guest, step)
            else pages[step[0].page][step[0].word + (step[1] % step[0].count)] = step[2]
            neighbour.check()
          }
        },
      ),
    )
  })
})

function perform(guest: Guest, act: string): void {
  const { hypervisor, partition } = guest
  switch (act) {
    case 'poll':
      expect(hypervisor.poll(1)).toBeLessThanOrEqual(PASS_MAX)
      hypervisor.arm()
      break
    case 'message':
      hypervisor.postMessageToVp(partition.id, 0, SINT, 1, new Uint8Array(240), 240)
      break
    case 'signal':
      hypervisor.signalEventToVp(partition.id, 0, SINT, 77)
      break
    case 'deliver':
      guest.takeInterrupt()
      break
    case 'post':
      expect(guest.post(1, 1, new Uint8Array(9))).toBeLessThanOrEqual(0xffff)
      break
    case 'call':
      expect(guest.signal(0x2001, 3)).toBeLessThanOrEqual(0xffff)
      break
    case 'ping':
      hypervisor.ping(partition.id, 0)
      hypervisor.answered(partition.id, 0)
      break
    case 'connect':
      hypervisor.connectPort(partition.id, connectionId(0x2002), portId(0x2001))
      hypervisor.disconnectPort(partition.id, connectionId(0x2002))
      break
    case 'delete port':
      hypervisor.deletePort(ROOT_PARTITION_ID, portId(1))
      break
  }
}

/** Another partition of the same hypervisor: every `check` sends one message and one signal and expects them. */
function joinNeighbour(hypervisor: Hypervisor): { check(): void } {
  const memory = GuestMemory.create({ sizeBytes: RAM_BYTES })
  const created = hypervisor.createPartition({ memory, vpCount: 1, wakeVp: [new Bell()] })
  if (!created.ok) throw new Error('the neighbour exists')
  const { partition } = created
  const vp = new VirtualProcessor(partition.handlesFor(0)!, {
    memory,
    wakeRoot: new Bell(),
    clock: new TestClock(),
  })
  vp.writeMsr(0x4000_0000, 1, 0x8100_0000)
  vp.writeMsr(0x4000_0001, 0x1001, 0)
  const mailbox = new Mailbox()
  const signals = new Signals()
  const identity = { owner: ROOT_PARTITION_ID, connectionPartition: partition.id }
  hypervisor.createMessagePort({ ...identity, portId: portId(0x900), target: mailbox })
  hypervisor.createEventPort({ ...identity, portId: portId(0x901), flagCount: 1, target: signals })
  hypervisor.connectPort(partition.id, connectionId(1), portId(0x900))
  hypervisor.connectPort(partition.id, connectionId(2), portId(0x901))
  let round = 0
  return {
    check() {
      round++
      memory.view.setUint32(0x2000, 1, true)
      memory.view.setUint32(0x2008, 1, true)
      memory.view.setUint32(0x200c, 4, true)
      memory.view.setUint32(0x2010, round, true)
      expect(vp.hypercall(hypercallInputLow(0x5c, false), 0, 0x2000, 0, 0, 0)).toBe(
        HvStatus.SUCCESS,
      )
      expect(vp.hypercall(hypercallInputLow(0x5d, true), 0, 2, 0, 0, 0)).toBe(HvStatus.SUCCESS)
      // At most two partitions with one VP each: two calls reach both.
      hypervisor.poll(64)
      hypervisor.poll(64)
      expect(mailbox.received).toHaveLength(round)
      expect(mailbox.received.at(-1)!.payload).toEqual([round & 0xff, round >> 8, 0, 0])
      expect(signals.flags).toHaveLength(round)
    },
  }
}

describe('by design', () => {
  const scribbled = (
    where: 'vpPage' | 'partitionPage',
    at: (i: number) => boolean,
    value: number,
  ) => {
    const guest = new Guest().boot()
    const mailbox = new Mailbox()
    guest.messagePort(1, mailbox)
    const signals = new Signals()
    guest.eventPort(2, 1, signals)
    const page = new Int32Array(guest.partition.handlesFor(0)![where])
    for (let i = 0; i < page.length; i++) if (at(i)) page[i] = value
    return { guest, mailbox, signals }
  }

  test('an outbox of ones calls only the handlers of connected slots, and counts the rest', () => {
    const { guest, signals } = scribbled('vpPage', (i) => i >= 16, -1)
    for (let pass = 0; pass < 17; pass += 1) {
      // A group of flags, and at the end 256 vectors and what a bit says.
      expect(guest.hypervisor.poll(1)).toBeLessThanOrEqual(128 + 256 + 8)
    }
    expect(signals.flags).toEqual([0])
    expect(guest.partition.inspect().strayFlags).toBe(2047)
  })

  test('flags of nobody’s are work: a poll walks no more of them than its budget and one group', () => {
    const guest = new Guest({ vpCount: 64 })
    for (let vp = 0; vp < 64; vp += 1) {
      const page = new Int32Array(guest.partition.handlesFor(vp)!.vpPage)
      page.fill(-1, OUTBOX_FLAGS, OUTBOX_FLAGS + 64)
      page[OUTBOX_SUMMARY] = 0xffff
    }
    const before = guest.partition.inspect().strayFlags
    const done = guest.hypervisor.poll(32)
    expect(guest.partition.inspect().strayFlags - before).toBe(128)
    expect(done).toBe(128)
  })

  test('a partition of 64 VPs that announce all the time has one turn, and a neighbour’s flag is taken within two polls', () => {
    const guest = new Guest({ vpCount: 64 })
    const mailbox = new Mailbox()
    guest.messagePort(1, mailbox)
    const { hypervisor } = guest
    const memory = GuestMemory.create({ sizeBytes: RAM_BYTES })
    const created = hypervisor.createPartition({ memory, vpCount: 1, wakeVp: [new Bell()] })
    if (!created.ok) throw new Error('there is room for a neighbour')
    const neighbour = new Int32Array(created.partition.handlesFor(0)!.vpPage)
    const shared = new Int32Array(guest.partition.handlesFor(0)!.partitionPage)
    const refill = (): void => {
      const first = mailbox.received.length
      for (let ticket = first; ticket < first + 16; ticket += 1) {
        shared[messageBuffer(0, ticket)] = 1
        shared[slotSequence(0, ticket)] = ticket + 1
      }
      for (let vp = 0; vp < 64; vp += 1) {
        new Int32Array(guest.partition.handlesFor(vp)!.vpPage)[OUTBOX_SUMMARY] = 1 << 16
      }
    }
    for (let round = 1; round <= 200; round += 1) {
      neighbour[OUTBOX_FLAGS] = 1
      neighbour[OUTBOX_SUMMARY] = 1
      const before = mailbox.received.length
      refill()
      hypervisor.poll(16)
      refill()
      hypervisor.poll(16)
      expect(created.partition.inspect().strayFlags).toBe(round)
      expect(mailbox.received.length - before).toBeLessThanOrEqual(32)
    }
  })

  test('the queues of a partition give sixteen a poll, whatever number of its VPs announces them, and the rest is not lost', () => {
    const guest = new Guest({ vpCount: 8 }).boot()
    const mailbox = new Mailbox()
    const { connection } = guest.messagePort(1, mailbox)
    for (let i = 0; i < 16; i += 1) guest.post(connection, 1, Uint8Array.of(i))
    for (let vp = 0; vp < 8; vp += 1) {
      new Int32Array(guest.partition.handlesFor(vp)!.vpPage)[OUTBOX_SUMMARY] = 1 << 16
    }
    expect(guest.hypervisor.poll(256)).toBe(16)
    // Announced by VPs that were not asked: looked for again, and nothing there.
    expect(guest.hypervisor.arm()).toBe(true)
    for (let pass = 0; pass < 8; pass += 1) guest.hypervisor.poll(256)
    expect(guest.hypervisor.arm()).toBe(false)
    expect(mailbox.received).toHaveLength(16)
  })

  test('sequences that always say "full" give at most sixteen messages a pass', () => {
    const { guest } = scribbled('partitionPage', (i) => i >= 128 && i < 144, 1)
    const page = new Int32Array(guest.partition.handlesFor(0)!.vpPage)
    for (let pass = 0; pass < 50; pass++) {
      page[16] = 1 << 16
      expect(guest.hypervisor.poll(1)).toBeLessThanOrEqual(16)
    }
  })

  test('a guest that refills its buffers while they are read still has sixteen a pass', () => {
    const guest = new Guest().boot()
    const page = new Int32Array(guest.partition.handlesFor(0)!.partitionPage)
    let head = 0
    guest.messagePort(1, {
      canReceive: () => true,
      receiveMessage() {
        head++
        for (let ticket = head; ticket < head + 16; ticket++) {
          page[slotSequence(0, ticket)] = ticket + 1
          page[messageBuffer(0, ticket)] = 1
        }
        if (head > 1000) throw new Error('the pass does not end')
      },
    })
    guest.post(1, 1, new Uint8Array(1))
    expect(guest.hypervisor.poll(64)).toBe(16)
  })

  test('an inbox tail that makes no sense is an empty queue', () => {
    const { guest } = scribbled('vpPage', (i) => i === INBOX_TAIL + SINT, 100)
    new Int32Array(guest.partition.handlesFor(0)!.vpPage)[INBOX_SUMMARY] = 1 << (16 + SINT)
    expect(guest.vp.deliver()).toBe(-1)
    expect(guest.vp.inspect().messagesDelivered).toBe(0)
  })

  test('a message whose size, type or sender no hypercall lets through is dropped and counted', () => {
    const { guest, mailbox } = scribbled('vpPage', () => false, 0)
    const page = new Int32Array(guest.partition.handlesFor(0)!.partitionPage)
    const buffer = 9216
    for (const [offset, value] of [
      [0, 0],
      [0, -1],
      [1, 241],
      [1, -1],
      [2, 1],
      [2, -1],
    ] as const) {
      const before = guest.partition.inspect().malformed
      guest.post(1, 1, new Uint8Array(4))
      page[buffer + before * 64 + offset] = value
      guest.hypervisor.poll(10)
      expect(guest.partition.inspect().malformed).toBe(before + 1)
    }
    expect(mailbox.received).toEqual([])
    expect(guest.post(1, 1, new Uint8Array([5]))).toBe(HvStatus.SUCCESS)
    guest.hypervisor.poll(10)
    expect(mailbox.received).toHaveLength(1)
  })

  test('an inbox head that makes no sense is a full queue', () => {
    const { guest } = scribbled('vpPage', (i) => i >= 272 && i < 288, 0x1234_5678)
    expect(
      guest.hypervisor.postMessageToVp(guest.partition.id, 0, SINT, 1, new Uint8Array(1), 1),
    ).toBe(HvStatus.INSUFFICIENT_BUFFERS)
  })

  test('a connection table of ones answers statuses', () => {
    const { guest } = scribbled('partitionPage', (i) => i >= 256 && i < 8448, -1)
    expect(guest.signal(2)).toBe(HvStatus.INVALID_CONNECTION_ID)
    // The root goes by its own table, and what it adds is found.
    expect(guest.hypervisor.connectPort(guest.partition.id, connectionId(3), portId(2))).toBe(
      HvStatus.SUCCESS,
    )
    expect(guest.signal(3)).toBe(HvStatus.SUCCESS)
  })
})
