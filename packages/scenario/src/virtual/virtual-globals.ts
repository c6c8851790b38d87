// What a program on the virtual engine's thread finds in place of the host's clocks, timers and chance. Everything is put back
// when the run is over; the thread is the run's own.

import { createRequire, syncBuiltinESMExports } from 'node:module'
import process from 'node:process'

import { orderFileCalls } from './file-order.ts'
import { Patches } from './patches.ts'
import { patchChance, type ChanceSources } from './virtual-chance.ts'
import { patchDates } from './virtual-dates.ts'
import { VirtualTimers, type TimerOwner } from './virtual-timers.ts'

/** The time at which every virtual machine starts. */
/** The time of day at which virtual time begins. */
export const EPOCH_MS: number = Date.UTC(2026, 0, 1)
const NS_PER_MS = 1e6
const NS_PER_S = 1e9
const require = createRequire(import.meta.url)

type AsyncCall = (...args: readonly unknown[]) => Promise<unknown>
type WaitAsync = (
  array: Int32Array,
  index: number,
  value: number,
  timeoutMs?: unknown,
) => { readonly async: boolean; readonly value: string | Promise<string> }

/** What the globals show, asked at each use. */
export interface VirtualSources extends Pick<ChanceSources, 'random'> {
  /** Whole nanoseconds since the start. */
  nowNs(): number
  owner(): TimerOwner
  /** Has a function run in the asynchronous context of this moment. */
  bind(run: () => void): () => void
  /** Virtual time stands until the promise settles. */
  hold<T>(what: string, promise: Promise<T>): Promise<T>
  /** `process.exit` was called. Does not return. */
  exit(code: number): never
}

/** Puts them in place. Returns what takes them away. */
export function installVirtualGlobals(sources: VirtualSources): () => void {
  const patches = new Patches()
  // Last to be undone, first to be in force: ES modules that imported a builtin's function see it change.
  patches.after(syncBuiltinESMExports)
  patchClocks(patches, sources)
  patchTimers(patches, sources)
  patchWaits(patches, sources)
  patchThreads(patches, sources)
  const dateMs = (): number => EPOCH_MS + Math.floor(sources.nowNs() / NS_PER_MS)
  patchDates(patches, dateMs)
  patchChance(patches, { random: () => sources.random(), dateMs })
  orderFileCalls(patches)
  patches.value(process, 'exit', (code?: unknown) =>
    sources.exit(Number(code ?? process.exitCode ?? 0)),
  )
  syncBuiltinESMExports()
  return () => patches.remove()
}

function patchClocks(patches: Patches, sources: VirtualSources): void {
  const nowMs = (): number => sources.nowNs() / NS_PER_MS
  patchPerformance(patches, nowMs)
  const hrtime = (before?: readonly [number, number]): [number, number] => {
    const ns = sources.nowNs() - (before === undefined ? 0 : before[0] * NS_PER_S + before[1])
    return [Math.floor(ns / NS_PER_S), ns - Math.floor(ns / NS_PER_S) * NS_PER_S]
  }
  patches.value(process, 'hrtime', Object.assign(hrtime, { bigint: () => BigInt(sources.nowNs()) }))
  patches.value(process, 'uptime', () => nowMs() / 1000)
}

function patchPerformance(patches: Patches, nowMs: () => number): void {
  const mark = performance.mark.bind(performance)
  const measure = performance.measure.bind(performance)
  const idle = { idle: 0, active: 0, utilization: 0 }
  patchAll(patches, performance, {
    now: nowMs,
    mark: (name: string, options?: Parameters<typeof mark>[1]) =>
      mark(name, { startTime: nowMs(), ...options }),
    measure: (name: string, from?: Parameters<typeof measure>[1], to?: string) => {
      if (typeof from !== 'object') {
        return measure(name, { start: from ?? 0, end: to ?? nowMs() })
      }
      const isClosed = from.end !== undefined || from.duration !== undefined
      return measure(name, isClosed ? from : { ...from, end: nowMs() })
    },
    eventLoopUtilization: () => ({ ...idle }),
    toJSON: () => ({ timeOrigin: EPOCH_MS, eventLoopUtilization: { ...idle } }),
  })
  patches.getter(performance, 'timeOrigin', () => EPOCH_MS)
  // An event is seen first where it is dispatched, in the turn that made it.
  const stamps = new WeakMap<object, number>()
  patches.getter(Event.prototype, 'timeStamp', function stamp(this: Event) {
    const at = stamps.get(this) ?? nowMs()
    stamps.set(this, at)
    return at
  })
}

function patchTimers(patches: Patches, sources: VirtualSources): void {
  const timers = new VirtualTimers(
    () => sources.owner(),
    (run) => sources.bind(run),
  )
  const functions = {
    setTimeout: timers.setTimeout,
    setInterval: timers.setInterval,
    setImmediate: timers.setImmediate,
    clearTimeout: timers.clear,
    clearInterval: timers.clear,
    clearImmediate: timers.clear,
  }
  const promised = {
    setTimeout: timers.wait,
    setImmediate: timers.waitImmediate,
    setInterval: timers.ticks.bind(timers),
  }
  const scheduler = { wait: timers.wait, yield: () => timers.waitImmediate() }
  patchAll(patches, globalThis, functions)
  patchAll(patches, require('node:timers') as object, functions)
  patchAll(patches, require('node:timers/promises') as object, { ...promised, scheduler })
  patches.value(AbortSignal, 'timeout', (ms: number) => {
    const abort = new AbortController()
    const reason = new DOMException('The operation was aborted due to timeout', 'TimeoutError')
    timers.setTimeout(() => abort.abort(reason), ms)
    return abort.signal
  })
}

/** What waits on shared memory gives up in virtual time. */
function patchWaits(patches: Patches, sources: VirtualSources): void {
  const real = Atomics.waitAsync as unknown as WaitAsync
  const waitAsync: WaitAsync = (array, index, value, timeoutMs) => {
    const ms = timeoutMs === undefined ? Number.NaN : Number(timeoutMs)
    if (Number.isNaN(ms) || ms === Infinity || ms <= 0) return real(array, index, value, timeoutMs)
    const waiting = real(array, index, value)
    if (!waiting.async) return waiting
    const { promise, resolve } = Promise.withResolvers<string>()
    const cancel = sources.owner().after(
      ms * NS_PER_MS,
      sources.bind(() => resolve('timed-out')),
    )
    void Promise.resolve(waiting.value).then((how) => {
      cancel()
      resolve(how)
    })
    return { async: true, value: promise }
  }
  patches.value(Atomics, 'waitAsync', waitAsync)
}

/** Compilers work on threads of their own, and nobody starts another thread: it would have real time. */
function patchThreads(patches: Patches, sources: VirtualSources): void {
  const compiler = Reflect.get(globalThis, 'WebAssembly') as Record<string, AsyncCall>
  for (const name of ['compile', 'instantiate']) {
    const real = compiler[name]!
    patches.value(compiler, name, (...args: readonly unknown[]) =>
      sources.hold(`WebAssembly.${name}`, real(...args)),
    )
  }
  function Worker(): never {
    throw new Error('a program in virtual time has one thread: new Worker is refused')
  }
  patches.value(require('node:worker_threads') as object, 'Worker', Worker)
}

function patchAll(
  patches: Patches,
  target: object,
  values: Readonly<Record<string, unknown>>,
): void {
  for (const [name, value] of Object.entries(values)) patches.value(target, name, value)
}
