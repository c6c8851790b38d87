/** What guests cost that do nothing: memory beyond their RAM, processor time, and wakes by thread. */

import { setTimeout as after } from 'node:timers/promises'
import type { Host, Vm } from '@guestyard/management'

const IDLE_GUESTS = 16
/** What starting left to be done is done by then: V8 collects the garbage of a start some ten seconds after it. */
const SETTLE_MS = 15_000
const WARM_UP_QUESTIONS = 3
const SETTLE_ONE_MS = 250

/** Processor time over a stretch in which nothing was asked of anybody. */
export interface IdleFigures {
  readonly guests: number
  readonly seconds: number
  /** Of one core, by the whole process. */
  readonly percentOfCore: number
  /** Of one core, by the root's thread; by the guests' threads together; by everything else. */
  readonly rootPercent: number
  readonly guestsPercent: number
  readonly restPercent: number
  /** Times that the root's engine, and those of all guests together, woke. */
  readonly rootWakes: number
  readonly guestWakes: number
}

export interface MemoryFigures {
  /** Resident bytes of the process with 0, 1, 2 … idle guests. */
  readonly residentBytes: readonly number[]
  /** Resident bytes that one more idle guest costs: the slope through them. */
  readonly bytesPerGuest: number
  readonly ramBytesPerGuest: number
}

/** Starts idle guests one by one and sees what each adds. They are left running. */
export async function startIdleGuests(
  host: Host,
  signal: AbortSignal,
): Promise<{ readonly vms: readonly Vm[]; readonly memory: MemoryFigures }> {
  const vms: Vm[] = []
  const residentBytes = [await settledRss(signal)]
  for (let index = 0; index < IDLE_GUESTS; index += 1) {
    const vm = host.createVm({ name: `idle-${index}` })
    await vm.start()
    vms.push(vm)
    residentBytes.push(await settledRss(signal))
  }
  const ramBytesPerGuest = vms[0]?.settings.memoryBytes ?? 0
  // The first guest loads code that the others share: it is left out of the slope.
  const bytesPerGuest = slope(residentBytes.slice(1))
  return { vms, memory: { residentBytes, bytesPerGuest, ramBytesPerGuest } }
}

/** Does nothing for a while, and says what that took. */
export async function measureIdle(
  host: Host,
  vms: readonly Vm[],
  seconds: number,
  signal: AbortSignal,
): Promise<IdleFigures> {
  // Asking costs more the first time, when its code is compiled: that is not idling.
  for (let asked = 0; asked < WARM_UP_QUESTIONS; asked += 1) await countersOf(host, vms)
  await after(SETTLE_MS, undefined, { signal })
  const before = await countersOf(host, vms)
  const cpu = process.cpuUsage()
  const started = performance.now()
  await after(seconds * 1000, undefined, { signal })
  const used = process.cpuUsage(cpu)
  const microseconds = (performance.now() - started) * 1000
  const now = await countersOf(host, vms)
  const percent = (time: number): number => (time / microseconds) * 100
  const percentOfCore = percent(used.user + used.system)
  const rootPercent = percent(now.rootCpu - before.rootCpu)
  const guestsPercent = percent(now.guestCpu - before.guestCpu)
  return {
    guests: vms.length,
    seconds: microseconds / 1e6,
    percentOfCore,
    rootPercent,
    guestsPercent,
    restPercent: Math.max(0, percentOfCore - rootPercent - guestsPercent),
    rootWakes: now.rootWakes - before.rootWakes,
    guestWakes: now.guestWakes - before.guestWakes,
  }
}

interface Counters {
  readonly rootCpu: number
  readonly guestCpu: number
  readonly rootWakes: number
  readonly guestWakes: number
}

async function countersOf(host: Host, vms: readonly Vm[]): Promise<Counters> {
  const root = await host.inspect()
  const guests = await Promise.all(vms.map((vm) => vm.inspectGuest()))
  return {
    rootCpu: root.cpuMicroseconds,
    guestCpu: sum(guests.map((guest) => guest.cpuMicroseconds)),
    rootWakes: wakesOf(root.engine),
    guestWakes: sum(guests.map((guest) => wakesOf(guest.engine))),
  }
}

function wakesOf(engine: unknown): number {
  return Number(Reflect.get(Object(engine), 'wakes'))
}

async function settledRss(signal: AbortSignal): Promise<number> {
  await after(SETTLE_ONE_MS, undefined, { signal })
  return process.memoryUsage.rss()
}

/** Least squares through the values at 0, 1, 2 … */
function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  const mean = sum(values) / values.length
  let over = 0
  let under = 0
  for (const [index, value] of values.entries()) {
    over += (index - middle) * (value - mean)
    under += (index - middle) ** 2
  }
  return under === 0 ? 0 : over / under
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
