/** What guests cost that do nothing: memory beyond their RAM, processor time, and wakes by thread. */

import process from 'node:process'
import { setTimeout as after } from 'node:timers/promises'
import type { Host, Vm } from '@guestyard/management'
import type { Progress } from '@guestyard/scenario'

import { settledRss } from './memory.ts'

const WARM_UP_QUESTIONS = 3

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
  /** Resident bytes of the process, settled. */
  readonly residentBytes: number
  /** Resident bytes of each guest after the first, as they come up and settled; the first loads code that all share. */
  readonly freshBytesPerGuest: number
  readonly bytesPerGuest: number
}

export interface IdleOptions {
  /** Guests of each stretch, rising. */
  readonly counts: readonly number[]
  readonly seconds: number
  readonly signal: AbortSignal
  readonly progress: Progress
}

/** The host alone, then with more and more idle guests. They are left running. */
export async function measureIdle(host: Host, options: IdleOptions): Promise<IdleFigures[]> {
  const { counts, signal, progress } = options
  progress.update('the host alone settles')
  const aloneRss = await settledRss(signal)
  const figures = [await stretch(host, [], aloneRss, options)]
  const vms = [await startOne(host, 0)]
  progress.update('the first guest settles')
  const firstRss = await settledRss(signal)
  for (const count of counts) {
    progress.update(`${count} guests start`)
    while (vms.length < count) {
      signal.throwIfAborted()
      vms.push(await startOne(host, vms.length))
    }
    const freshRss = process.memoryUsage.rss()
    progress.update(`${count} guests settle`)
    const rss = await settledRss(signal)
    const idle = await stretch(host, vms, rss, options)
    figures.push({
      ...idle,
      freshBytesPerGuest: (freshRss - firstRss) / (count - 1),
      bytesPerGuest: (rss - firstRss) / (count - 1),
    })
  }
  return figures
}

async function startOne(host: Host, index: number): Promise<Vm> {
  const vm = host.createVm({ name: `idle-${index}` })
  await vm.start()
  return vm
}

/** Does nothing for a while, and says what that took. */
async function stretch(
  host: Host,
  vms: readonly Vm[],
  residentBytes: number,
  { seconds, signal, progress }: IdleOptions,
): Promise<IdleFigures> {
  // Asking costs more the first time, when its code is compiled, and V8 collects what it left: that is not idling.
  for (let asked = 0; asked < WARM_UP_QUESTIONS; asked += 1) await countersOf(host, vms)
  await settledRss(signal)
  progress.update(`${vms.length} guests idle for ${seconds} s`)
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
    residentBytes,
    freshBytesPerGuest: 0,
    bytesPerGuest: 0,
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

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
