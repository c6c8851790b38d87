// Guests under the hypervisor's own scheduler, in one thread: a whole boot with grants, halts and wake-ups, and programs that
// compute. One logical processor, so that whoever runs moves the one clock.

import { describe, expect, test } from 'vitest'
import { Kernel } from '@guestyard/child-partition'
import { ManualClock, SingleThread } from '@guestyard/engine'
import { GuestMemory } from '@guestyard/guestmem'
import { CPU_FRACTION_ONE, HvStatus } from '@guestyard/hvdef'
import { VirtualProcessor } from '@guestyard/hypervisor'
import { RootPartition, type OverdueVp, type SchedulerPolicyName } from '@guestyard/root-partition'

const MIB = 1024 * 1024
/** Words of a VP page. */
const PING = 1
const PONG = 17

interface Yard {
  readonly clock: ManualClock
  readonly root: RootPartition
  readonly threads: SingleThread
  readonly overdue: OverdueVp[]
  readonly kernels: Kernel[]
}

function yard(policy: SchedulerPolicyName, logicalProcessors = 1): Yard {
  const clock = new ManualClock()
  const overdue: OverdueVp[] = []
  const root = new RootPartition({
    clock,
    clockOriginMs: 0,
    logicalProcessors,
    scheduler: { policy },
    onOverdue: (vp) => overdue.push(vp),
    openDoorbells: () => ({
      vp: { ring: () => {} },
      vpBuffer: new SharedArrayBuffer(64),
      rootBuffer: new SharedArrayBuffer(64),
    }),
    closeDoorbells: () => {},
    onBusEvent: () => {},
  })
  return { clock, root, threads: new SingleThread({ machines: [root] }), overdue, kernels: [] }
}

interface Booted {
  readonly partitionId: number
  readonly kernel: Kernel
  readonly events: string[]
  /** Writes what a VP that polls would write. */
  readonly forgeAnswer: (vp?: number) => void
}

function boot(
  on: Yard,
  properties: { weight?: number; cap?: number; reserve?: number; vpCount?: number } = {},
): Booted {
  const created = on.root.createPartition({
    name: 'guest',
    memoryBytes: 4 * MIB,
    vpCount: 1,
    weight: 100,
    ...properties,
  })
  if (!created.ok) throw new Error(created.reason)
  const memory = GuestMemory.attach(created.start.memory)
  const vp = new VirtualProcessor(created.start.vps[0]!.handles, {
    memory,
    wakeRoot: { ring: () => {} },
    clock: on.clock,
  })
  const events: string[] = []
  const kernel = new Kernel({
    vp,
    memory,
    placement: 'contiguous',
    clock: on.clock,
    onBusEvent: (event) => events.push(event.is),
    wake: () => kernel.nudge(),
    processor: {
      burn(microseconds) {
        on.clock.advanceMs(microseconds / 1_000)
        return microseconds
      },
    },
  })
  const found = kernel.start()
  if (!found.ok) throw new Error(found.reason)
  on.threads.add(kernel)
  on.kernels.push(kernel)
  on.threads.settle()
  // It halted when it was asked for the last time; now the root hears of it.
  on.threads.settle()
  const pages = created.start.vps.map(({ handles }) => new Int32Array(handles.vpPage))
  const forgeAnswer = (vp = 0): void => {
    pages[vp]![PONG] = pages[vp]![PING]!
  }
  return { partitionId: created.start.partitionId, kernel, events, forgeAnswer }
}

/** Turns until the clock has moved on by `ms`; when nobody computes it moves by itself. */
async function runFor(on: Yard, ms: number): Promise<void> {
  const end = on.clock.nowMs + ms
  while (on.clock.nowMs < end) {
    const done = on.threads.turn()
    // Whoever waits for what was computed goes on.
    await Promise.resolve()
    // What an engine does once a machine has nothing to do: it halts then.
    for (const kernel of on.kernels) {
      kernel.arm()
      kernel.disarm()
    }
    if (done === 0) on.clock.advanceMs(0.1)
  }
}

function schedulerOf(on: Yard, guest: Booted) {
  const vp = on.root.inspect().scheduler.vps.find((one) => one.partitionId === guest.partitionId)
  if (vp === undefined) throw new Error('not scheduled')
  return vp
}

describe.each(['classic', 'core'] as const)('under the %s policy', (policy) => {
  test('guests boot one after the other on one processor, and halt', () => {
    const on = yard(policy)
    const guests = [boot(on), boot(on), boot(on)]
    for (const guest of guests) {
      expect(guest.events.at(-1)).toBe('offers-delivered')
      expect(schedulerOf(on, guest).state).toBe('halted')
    }
    expect(on.root.inspect().scheduler.vps.every((vp) => vp.halts > 0)).toBe(true)
  })

  test('programs that compute get what their weights say', async () => {
    const on = yard(policy)
    const guests = [100, 200, 400].map((weight) => boot(on, { weight }))
    for (const guest of guests) void guest.kernel.work.add(Number.POSITIVE_INFINITY)
    await runFor(on, 3_000)
    const total = guests.reduce((sum, guest) => sum + guest.kernel.work.used, 0)
    const shares = guests.map((guest) => guest.kernel.work.used / total)
    expect(shares[0]).toBeCloseTo(1 / 7, 2)
    expect(shares[1]).toBeCloseTo(2 / 7, 2)
    expect(shares[2]).toBeCloseTo(4 / 7, 2)
  })

  test('a guest that is woken gets its turn beside one that computes for ever', async () => {
    const on = yard(policy)
    const [busy, victim] = [boot(on), boot(on)]
    void busy.kernel.work.add(Number.POSITIVE_INFINITY)
    await runFor(on, 100)
    const before = schedulerOf(on, victim)
    let done = 0
    for (let turn = 0; turn < 20; turn += 1) {
      void victim.kernel.work.add(50).then(() => (done += 1))
      await runFor(on, 10)
    }
    const after = schedulerOf(on, victim)
    expect(after.dispatches - before.dispatches).toBeGreaterThanOrEqual(20)
    expect((after.waitTime - before.waitTime) / 20).toBeLessThan(20_000)
    expect(victim.kernel.work.isPending).toBe(false)
    expect(done).toBe(20)
  })
})

describe('what a partition is created with', () => {
  test('a cap holds, and a reserve that does not fit is refused', async () => {
    const on = yard('classic')
    const first = boot(on, { cap: CPU_FRACTION_ONE / 8 })
    const second = boot(on, { reserve: CPU_FRACTION_ONE / 2 })
    void first.kernel.work.add(Number.POSITIVE_INFINITY)
    await runFor(on, 1_000)
    expect(schedulerOf(on, first).guestRunTime / 10_000).toBeLessThan(133)
    expect(schedulerOf(on, first).throttles).toBeGreaterThan(15)
    const refused = on.root.createPartition({
      name: 'too much',
      memoryBytes: 4 * MIB,
      vpCount: 1,
      weight: 100,
      reserve: CPU_FRACTION_ONE / 2 + 1,
    })
    expect(refused).toMatchObject({ ok: false, status: HvStatus.NO_RESOURCES })
    expect(schedulerOf(on, second).reserve).toBe(0.5)
  })
})

describe('what the watchdog asks', () => {
  const LIMIT_MS = 50

  /** Looks every half of the limit; true once the guest would be ended. */
  async function isEnded(on: Yard, guest: Booted, ms: number, each = () => {}): Promise<boolean> {
    for (let passed = 0; passed < ms; passed += LIMIT_MS / 2) {
      on.root.ping(guest.partitionId)
      for (let step = 0; step < LIMIT_MS / 2; step += 1) {
        each()
        await runFor(on, 1)
      }
      each()
      if (!on.root.answered(guest.partitionId, LIMIT_MS)) return true
    }
    return false
  }

  test.each(['classic', 'core'] as const)(
    'a VP that keeps its processor and forges its answers is ended, and the victim that waited is not: %s',
    async (policy) => {
      const on = yard(policy)
      const [hostile, victim] = [boot(on), boot(on)]
      void hostile.kernel.work.add(Number.POSITIVE_INFINITY)
      void victim.kernel.work.add(Number.POSITIVE_INFINITY)
      while (schedulerOf(on, hostile).state !== 'running') await runFor(on, 0.1)
      // Its thread runs on, but never looks at its grant.
      on.threads.remove(hostile.kernel)
      on.kernels.splice(on.kernels.indexOf(hostile.kernel), 1)
      const before = victim.kernel.work.used
      expect(await isEnded(on, hostile, 1_000, hostile.forgeAnswer)).toBe(true)
      expect(victim.kernel.work.used).toBe(before)
      expect(await isEnded(on, victim, 500)).toBe(false)
      void on.root.deletePartition(hostile.partitionId)
      await runFor(on, 20)
      expect(victim.kernel.work.used).toBeGreaterThan(before)
    },
  )

  test('a guest that computes, one that waits for its turn and one that sleeps are left alone', async () => {
    const on = yard('classic')
    const guests = [boot(on), boot(on, { weight: 1 }), boot(on)]
    void guests[0]!.kernel.work.add(Number.POSITIVE_INFINITY)
    void guests[1]!.kernel.work.add(Number.POSITIVE_INFINITY)
    for (const guest of guests) expect(await isEnded(on, guest, 500)).toBe(false)
  })

  test('VPs that nobody started are no reason, and VP 0 of their partition is asked all the same', async () => {
    const on = yard('root')
    const guest = boot(on, { vpCount: 4 })
    expect(await isEnded(on, guest, 500)).toBe(false)
    on.threads.remove(guest.kernel)
    on.kernels.length = 0
    expect(await isEnded(on, guest, 500)).toBe(true)
  })

  test('a VP that answered once has to go on answering, whichever it is', async () => {
    const on = yard('root')
    const guest = boot(on, { vpCount: 2 })
    let alive = true
    const second = (): void => {
      if (alive) guest.forgeAnswer(1)
    }
    expect(await isEnded(on, guest, 500, second)).toBe(false)
    alive = false
    expect(await isEnded(on, guest, 500, second)).toBe(true)
  })
})

test('a VP that never exits is reported with how long it has been', async () => {
  const on = yard('classic')
  const [stuck, other] = [boot(on), boot(on)]
  void stuck.kernel.work.add(Number.POSITIVE_INFINITY)
  void other.kernel.work.add(Number.POSITIVE_INFINITY)
  await runFor(on, 50)
  const running = schedulerOf(on, stuck).state === 'running' ? stuck : other
  on.threads.remove(running.kernel)
  on.kernels.splice(on.kernels.indexOf(running.kernel), 1)
  await runFor(on, 300)
  expect(on.overdue[0]).toMatchObject({ partitionId: running.partitionId, vpIndex: 0 })
  expect(on.overdue[0]!.overdueMs).toBeGreaterThanOrEqual(100)
  void on.root.deletePartition(running.partitionId)
  const next = running === stuck ? other : stuck
  const used = next.kernel.work.used
  await runFor(on, 50)
  expect(next.kernel.work.used).toBeGreaterThan(used)
})
