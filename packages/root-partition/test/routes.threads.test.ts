// Two VPs on threads of their own, and a root that changes routes while interrupts are on their way: every one that is
// raised is handled exactly once, by one of the two.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

import { GuestMemory } from '@guestyard/guestmem'
import { Hypervisor, type Partition } from '@guestyard/hypervisor'
import { Doorbell } from '@guestyard/ring'
import { expect, test } from 'vitest'

import { InterruptRouter, PortIds, VidPartition, WinHv } from '../src/index.ts'

const RELID = 33
const ROUNDS = 6_000
/** No round takes a thousandth of this: a net for the test, not a part of it. */
const LOST_AFTER_MS = 10_000
const POLLS_MAX = 50_000_000

interface Bench {
  readonly router: InterruptRouter
  readonly hypervisor: Hypervisor
  readonly partition: Partition
  readonly counters: Int32Array
  /** Interrupts that found nothing to handle, of both VPs. */
  readonly stop: () => Promise<number>
}

async function bench(): Promise<Bench> {
  const memory = GuestMemory.create({ sizeBytes: 256 * 1024 })
  const hypervisor = new Hypervisor({ clock: { nowMs: 0, now100ns: 0 } })
  const bells = [Doorbell.create(), Doorbell.create()]
  let router: InterruptRouter | null = null
  const created = hypervisor.createPartition({
    memory,
    vpCount: 2,
    wakeVp: bells,
    listener: {
      queueSpace: () => {},
      interruptEnded: (vp, vector) => router?.ended(vp, vector),
    },
  })
  if (!created.ok) throw new Error('no partition')
  const { partition } = created
  router = new InterruptRouter(
    new WinHv(hypervisor),
    new VidPartition(partition.id, partition.vps.length, partition, new WinHv(hypervisor)),
    new PortIds(),
    {
      acceptsMessages: true,
      receiveMessage: () => true,
      messageUnits: 1,
      receiveSignal: () => {},
    },
  )
  const counters = new SharedArrayBuffer(64)
  const workers = bells.map(
    (bell, vp) =>
      new Worker(new URL('./route-worker.ts', import.meta.url), {
        workerData: {
          handles: partition.handlesFor(vp),
          memory: memory.memory,
          doorbell: bell.words.buffer,
          rootDoorbell: Doorbell.create().words.buffer,
          counters,
          relid: RELID,
        },
      }),
  )
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  return {
    router,
    hypervisor,
    partition,
    counters: new Int32Array(counters),
    stop: async () => {
      const ends = workers.map((worker) => once(worker, 'message'))
      for (const bell of bells) bell.stop()
      const reports = (await Promise.all(ends)) as [{ stray: number }][]
      return reports.reduce((sum, [{ stray }]) => sum + stray, 0)
    },
  }
}

/** Waits until exactly `count` were handled. */
function handled(counters: Int32Array, count: number): void {
  for (let now = Atomics.load(counters, 0); now !== count; now = Atomics.load(counters, 0)) {
    if (now > count) throw new Error(`interrupt ${count} was handled twice`)
    const end = Atomics.wait(counters, 0, now, LOST_AFTER_MS)
    if (end === 'timed-out') throw new Error(`interrupt ${count} was lost`)
  }
}

/** The VP of a round: without a rhythm. */
function routeOf(round: number): number {
  return ((round * 2_654_435_761) >>> 13) & 1
}

test('a channel’s interrupt is handled once, whichever way its route went meanwhile', async () => {
  const { router, counters, stop } = await bench()
  const route = router.openInterrupt(RELID, 0)
  for (let round = 1; round <= ROUNDS; round += 1) {
    route.raise()
    for (let change = 0; change < round % 4; change += 1) route.retarget(routeOf(round + change))
    handled(counters, round)
  }
  expect(await stop()).toBe(0)
  expect(Atomics.load(counters, 0)).toBe(ROUNDS)
  const { raised, moved, refused } = router.inspect()
  expect([raised, refused]).toEqual([ROUNDS, 0])
  // Not the test's subject, but what makes it one: some were caught on their way.
  expect(moved).toBeGreaterThan(0)
})

test('an MSI is handled once, whichever way its route went meanwhile', async () => {
  const { router, counters, stop } = await bench()
  const device = router.remapping.attach(7)!
  const mapped = router.remapping.map(7, { vector: 0x61, vps: [0], multicast: false }, false)
  if (!mapped.ok) throw new Error('no entry')
  const { address, data } = mapped.entry
  for (let round = 1; round <= ROUNDS; round += 1) {
    device.raise(address, data)
    const vp = routeOf(round)
    const target = { vector: 0x61 + vp, vps: [vp], multicast: false }
    router.remapping.retarget(7, mapped.entry, target)
    handled(counters, round)
  }
  await stop()
  expect(Atomics.load(counters, 0)).toBe(ROUNDS)
})

test('a line is served once for each time it asked, whichever way it is routed', async () => {
  const { router, hypervisor, partition, counters, stop } = await bench()
  const device = router.remapping.attach(7)!
  const mapped = router.remapping.map(7, { vector: 0x61, vps: [0], multicast: false }, true)
  if (!mapped.ok) throw new Error('no entry')
  const asked = (): number => partition.vps.reduce((sum, vp) => sum + vp!.interruptsRequested, 0)
  device.setLine(mapped.entry, true)
  for (let round = 0; asked() < ROUNDS / 2; round += 1) {
    if (round > POLLS_MAX) throw new Error(`the line asks no more after ${asked()}`)
    const vp = routeOf(round)
    const target = { vector: 0x61 + vp, vps: [vp], multicast: false }
    router.remapping.retarget(7, mapped.entry, target)
    // What is ended asks again, now along the new route.
    hypervisor.poll(64)
  }
  device.setLine(mapped.entry, false)
  handled(counters, asked())
  await stop()
  expect(hypervisor.poll(64)).toBeGreaterThan(0)
  expect(Atomics.load(counters, 0)).toBe(asked())
})
