// What a program on the virtual engine's thread finds in place of the host's clocks, timers and chance. Everything is put back
// when the run is over; the thread is the run's own.

import nodeCrypto from 'node:crypto'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import process from 'node:process'

import type { SeededRandom } from '@guestyard/engine/virtual'

import { orderFileCalls } from './file-order.ts'
import { Patches } from './patches.ts'
import { VirtualTimers, type TimerOwner } from './virtual-timers.ts'

/** The time at which every virtual machine starts. */
const EPOCH_MS = Date.UTC(2026, 0, 1)
const NS_PER_MS = 1e6
const NS_PER_S = 1e9

/** What the globals show, asked at each use. */
export interface VirtualSources {
  /** Whole nanoseconds since the start. */
  nowNs(): number
  owner(): TimerOwner
  /** The generator of the program that is running. */
  random(): SeededRandom
  /** Has a function run in the asynchronous context of this moment. */
  bind(run: () => void): () => void
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
  patchChance(patches, sources)
  orderFileCalls(patches)
  patches.value(process, 'exit', (code?: unknown) =>
    sources.exit(Number(code ?? process.exitCode ?? 0)),
  )
  syncBuiltinESMExports()
  return () => patches.remove()
}

function patchClocks(patches: Patches, sources: VirtualSources): void {
  const nowMs = (): number => sources.nowNs() / NS_PER_MS
  const dateMs = (): number => EPOCH_MS + Math.floor(nowMs())
  patches.value(globalThis, 'Date', virtualDate(patches, dateMs))
  patches.value(performance, 'now', nowMs)
  patches.getter(performance, 'timeOrigin', () => EPOCH_MS)
  const hrtime = (before?: readonly [number, number]): [number, number] => {
    const ns = sources.nowNs() - (before === undefined ? 0 : before[0] * NS_PER_S + before[1])
    return [Math.floor(ns / NS_PER_S), ns - Math.floor(ns / NS_PER_S) * NS_PER_S]
  }
  patches.value(process, 'hrtime', Object.assign(hrtime, { bigint: () => BigInt(sources.nowNs()) }))
  patches.value(process, 'uptime', () => nowMs() / 1000)
}

/** Dates are real ones; only the present is another, and local time is UTC whatever the host's zone. */
function virtualDate(patches: Patches, nowMs: () => number): DateConstructor {
  const RealDate = Date
  const virtual: DateConstructor = new Proxy(RealDate, {
    apply: () => new RealDate(nowMs()).toString(),
    construct: (target, args, newTarget) =>
      Reflect.construct(
        target,
        args.length === 0 ? [nowMs()] : args,
        newTarget === virtual ? target : newTarget,
      ) as Date,
    get: (target, key) => (key === 'now' ? nowMs : (Reflect.get(target, key) as unknown)),
  })
  const prototype = RealDate.prototype as unknown as Record<string, unknown>
  patches.value(prototype, 'constructor', virtual)
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const match = /^([gs]et)UTC(.+)$/.exec(name)
    if (match !== null) patches.value(prototype, `${match[1]}${match[2]}`, prototype[name])
  }
  patches.value(prototype, 'getTimezoneOffset', () => 0)
  patches.value(prototype, 'toString', function toText(this: Date) {
    return this.toUTCString()
  })
  return virtual
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
  const require = createRequire(import.meta.url)
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

function patchChance(patches: Patches, sources: VirtualSources): void {
  const fill = <T extends ArrayBufferView>(array: T): T => {
    const { buffer, byteOffset, byteLength } = array
    sources.random().fillBytes(new Uint8Array(buffer, byteOffset, byteLength))
    return array
  }
  const randomUUID = (): string => uuidOf(fill(new Uint8Array(16)))
  patches.value(Math, 'random', () => sources.random().float())
  patchAll(patches, crypto, { getRandomValues: fill, randomUUID })
  patchAll(patches, nodeCrypto, {
    getRandomValues: fill,
    randomUUID,
    randomFillSync: fill,
    randomBytes: (size: number, callback?: (error: null, bytes: Buffer) => void) => {
      const bytes = fill(Buffer.alloc(size))
      if (callback === undefined) return bytes
      setImmediate(() => callback(null, bytes))
      return undefined
    },
    randomInt: (least: number, above?: unknown) => {
      const [from, to] = typeof above === 'number' ? [least, above] : [0, least]
      return from + Math.floor(sources.random().float() * (to - from))
    },
  })
}

/** Version 4 of RFC 9562. */
function uuidOf(bytes: Uint8Array): string {
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = Buffer.from(bytes).toString('hex')
  return [8, 12, 16, 20, 32]
    .map((end, index) => hex.slice([0, 8, 12, 16, 20][index], end))
    .join('-')
}

function patchAll(
  patches: Patches,
  target: object,
  values: Readonly<Record<string, unknown>>,
): void {
  for (const [name, value] of Object.entries(values)) patches.value(target, name, value)
}
