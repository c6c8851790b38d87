// RAM added to a guest while it is at work: a channel runs through it, and the next one lies in the new pages.

import { expect, test } from 'vitest'
import { Kernel } from '@guestyard/child-partition'
import { ManualClock, SingleThread } from '@guestyard/engine'
import { GuestMemory } from '@guestyard/guestmem'
import { VirtualProcessor } from '@guestyard/hypervisor'
import { LOAD_CLASS_ID, type ChannelLoadResult } from '@guestyard/load-device/protocol'
import { LoadRunner } from '@guestyard/load-device/vsc'
import { RootPartition } from '@guestyard/root-partition'
import type { ClientChannel } from '@guestyard/vmbus/client'

const MIB = 1024 * 1024
const RING_BYTES = 64 * 4096

interface Yard {
  readonly clock: ManualClock
  readonly root: RootPartition
  readonly threads: SingleThread
  readonly kernel: Kernel
  readonly memory: GuestMemory
  readonly partitionId: number
}

function yard(): Yard {
  const clock = new ManualClock()
  const silent = { ring: () => {} }
  const root = new RootPartition({
    clock,
    clockOriginMs: 0,
    logicalProcessors: 1,
    openDoorbells: () => ({
      vp: silent,
      vpBuffer: new SharedArrayBuffer(64),
      rootBuffer: new SharedArrayBuffer(64),
    }),
    closeDoorbells: () => {},
    onBusEvent: () => {},
  })
  const created = root.createPartition({
    name: 'grows',
    memoryBytes: 2 * MIB,
    memoryMaximumBytes: 16 * MIB,
    vpCount: 1,
    weight: 100,
  })
  if (!created.ok) throw new Error(created.reason)
  const { start } = created
  const memory = GuestMemory.attach(start.memory)
  const vp = new VirtualProcessor(start.vps[0]!.handles, { memory, wakeRoot: silent, clock })
  const kernel = new Kernel({
    vp,
    memory,
    placement: 'contiguous',
    clock,
    onBusEvent: () => {},
    wake: () => {},
  })
  const found = kernel.start()
  if (!found.ok) throw new Error(found.reason)
  const threads = new SingleThread({ machines: [root, kernel] })
  threads.settle()
  return { clock, root, threads, kernel, memory, partitionId: start.partitionId }
}

/** An echo of so many packets over the load device. */
class Echo {
  readonly channel: ClientChannel
  result: ChannelLoadResult | null = null
  readonly #on: Yard

  constructor(on: Yard, packets: number) {
    this.#on = on
    const offer = on.kernel.bus.offers().find((one) => one.classId === LOAD_CLASS_ID)!
    const channel = on.kernel.bus.open(
      offer,
      { sendBytes: RING_BYTES, receiveBytes: RING_BYTES },
      {
        opened: (open) =>
          new LoadRunner(open, {
            spec: {
              direction: 'echo',
              payloadBytes: 512,
              batch: 4,
              loop: { kind: 'closed', window: 16 },
              warmUp: { kind: 'packets', packets: 0 },
              measure: { kind: 'packets', packets },
            },
            nowNs: () => on.clock.now100ns * 100,
            latency: null,
            onDone: (done) => {
              if (!done.ok) throw new Error(done.reason)
              this.result = done.result
            },
          }),
        closed: () => {},
      },
    )
    if (channel === undefined) throw new Error('there are no pages for the rings')
    this.channel = channel
  }

  finish(): ChannelLoadResult {
    this.#on.threads.runUntil(
      () => this.result !== null,
      () => this.#on.clock.advanceMs(1),
    )
    this.#on.kernel.bus.close(this.channel)
    this.#on.threads.settle()
    return this.result!
  }
}

test('a guest gets more RAM while a channel runs, and the next channel lies in it', () => {
  const on = yard()
  const { root, kernel, threads, partitionId } = on
  const first = new Echo(on, 40_000)
  for (let turn = 0; turn < 200; turn += 1) threads.turn()
  expect(first.result).toBeNull()

  // In the middle of it, twice.
  const before = kernel.pages.freePages
  const pfns = Array.from(first.channel.pfns)
  for (const total of [4 * MIB, 12 * MIB]) {
    const added = root.addMemory(partitionId, total - on.memory.sizeBytes)
    expect(added).toEqual({ ok: true, memoryBytes: total })
    for (let turn = 0; turn < 20; turn += 1) threads.turn()
    kernel.memoryAdded(total)
    for (let turn = 0; turn < 20; turn += 1) threads.turn()
  }
  expect(kernel.pages.freePages).toBe(before + (10 * MIB) / 4096)
  expect(first.result).toBeNull()
  expect(Array.from(first.channel.pfns)).toEqual(pfns)
  const done = first.finish()
  expect([
    done.packets,
    done.sequenceErrors + done.peerSequenceErrors,
    done.packetsMissing,
  ]).toEqual([40_000, 0, 0])

  // Every old page is taken: the rings of the next channel can only be new ones.
  kernel.pages.allocate((2 * MIB) / 4096 - 16)
  const second = new Echo(on, 500)
  expect(Math.min(...Array.from(second.channel.pfns))).toBeGreaterThanOrEqual((2 * MIB) / 4096 - 16)
  expect(Math.max(...Array.from(second.channel.pfns))).toBeGreaterThanOrEqual((2 * MIB) / 4096)
  expect(second.finish().packets).toBe(500)
})

test('a guest is given no more than its largest RAM, and none that the root was not asked for', () => {
  const on = yard()
  expect(on.root.addMemory(on.partitionId, 15 * MIB)).toMatchObject({ ok: false })
  expect(on.root.addMemory(on.partitionId, 4096)).toMatchObject({ ok: false })
  expect(on.root.addMemory(99, MIB)).toMatchObject({ ok: false })
  const free = on.kernel.pages.freePages
  // The host's word about memory that is not there changes nothing.
  expect(on.kernel.memoryAdded(8 * MIB)).toBe(free)
  expect(on.kernel.memoryAdded(MIB)).toBe(free)
})
