// The globals of a virtual run: all of them in force while it lasts, none of them after it.

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import * as timers from 'node:timers'
import { setTimeout as sleep } from 'node:timers/promises'

import { SeededRandom } from '@guestyard/engine/virtual'
import { expect, test } from 'vitest'

import { installVirtualGlobals } from '../src/virtual/virtual-globals.ts'

const require = createRequire(import.meta.url)

/** Where the globals are, by name. */
const PLACES: Readonly<Record<string, object>> = {
  globalThis,
  performance,
  Math,
  crypto,
  process,
  Date: Date.prototype,
  AbortSignal,
  Atomics,
  Intl,
  Event: Event.prototype,
  Format: Intl.DateTimeFormat.prototype,
  Temporal: temporalNow(),
  WebAssembly: Reflect.get(globalThis, 'WebAssembly') as object,
  Crypto: Object.getPrototypeOf(crypto) as object,
  fsCallbacks: require('node:fs') as object,
  threads: require('node:worker_threads') as object,
  fs: require('node:fs/promises') as object,
  timers: require('node:timers') as object,
  timersPromises: require('node:timers/promises') as object,
  nodeCrypto: require('node:crypto') as object,
}

function temporalNow(): Record<string, () => unknown> {
  const temporal = Reflect.get(globalThis, 'Temporal') as
    | { Now: Record<string, () => unknown> }
    | undefined
  return temporal?.Now ?? {}
}

function everything(): Map<string, PropertyDescriptor> {
  const found = new Map<string, PropertyDescriptor>()
  for (const [place, target] of Object.entries(PLACES)) {
    for (const [key, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(target))) {
      found.set(`${place}.${key}`, descriptor)
    }
  }
  return found
}

/** A world of one program whose events run when they are asked to. */
function world() {
  const due: { at: number; run: () => void }[] = []
  const state = { nowNs: 5_000_000, exit: -1 }
  const random = new SeededRandom(7)
  return {
    state,
    /** Runs everything that is due until `ns`, in order. */
    runUntil: (ns: number): void => {
      for (;;) {
        const next = due.toSorted((a, b) => a.at - b.at)[0]
        if (next === undefined || next.at > ns) break
        due.splice(due.indexOf(next), 1)
        state.nowNs = next.at
        next.run()
      }
      state.nowNs = ns
    },
    sources: {
      nowNs: () => state.nowNs,
      owner: () => ({
        after(delayNs: number, run: () => void) {
          const event = { at: state.nowNs + delayNs, run }
          due.push(event)
          return () => {
            if (due.includes(event)) due.splice(due.indexOf(event), 1)
          }
        },
      }),
      random: () => random,
      bind: (run: () => void) => run,
      hold: <T>(_what: string, promise: Promise<T>) => promise,
      exit(code: number): never {
        state.exit = code
        throw new Error('exit')
      },
    },
  }
}

test('are put back to the last property when the run is over', () => {
  const before = everything()
  const uninstall = installVirtualGlobals(world().sources)
  const changed = [...everything()].filter(([key, now]) => {
    const was = before.get(key)
    return was === undefined || was.value !== now.value || was.get !== now.get
  })
  uninstall()
  expect(changed.length).toBeGreaterThan(60)
  expect(everything()).toEqual(before)
  expect(timers.setTimeout).toBe(setTimeout)
})

test('show virtual time in every clock, and keep dates dates', () => {
  const { sources, state } = world()
  const real = new Date(0)
  const uninstall = installVirtualGlobals(sources)
  try {
    state.nowNs = 90_061_001_000_000
    expect(Date.now()).toBe(Date.UTC(2026, 0, 2, 1, 1, 1, 1))
    expect(new Date().toISOString()).toBe('2026-01-02T01:01:01.001Z')
    expect(Date()).toBe('Fri Jan 02 2026 01:01:01 GMT+0000 (Coordinated Universal Time)')
    expect(performance.now()).toBe(90_061_001)
    expect(performance.timeOrigin + performance.now()).toBe(Date.now())
    expect(process.hrtime()).toEqual([90_061, 1_000_000])
    expect(process.hrtime([90_060, 999_999_999])).toEqual([0, 1_000_001])
    expect(process.hrtime.bigint()).toBe(90_061_001_000_000n)
    expect(real instanceof Date && new Date(5) instanceof Date).toBe(true)
    expect(new Date(2026, 0, 1).getTime()).toBe(new Date(2026, 0, 1).getTime())
    expect(structuredClone(new Date(7)) instanceof Date).toBe(true)
    class Stamp extends Date {}
    expect(new Stamp() instanceof Stamp && new Stamp().getTime() === Date.now()).toBe(true)
  } finally {
    uninstall()
  }
})

test.each(['UTC', 'Asia/Tokyo', 'America/St_Johns'])(
  'have local time be UTC, with the host in %s',
  (zone) => {
    const before = process.env['TZ']
    process.env['TZ'] = zone
    const { sources } = world()
    const uninstall = installVirtualGlobals(sources)
    try {
      const noon = Date.UTC(2026, 5, 1, 12)
      expect(new Date(2026, 5, 1, 12).getTime()).toBe(noon)
      expect(new Date(new Date(noon)).getTime()).toBe(noon)
      for (const text of [
        '2026-06-01T12:00',
        '2026-06-01T12:00:00Z',
        '2026-06-01T14:00:00+02:00',
        '2026-06-01 12:00',
        'Jun 1, 2026 12:00',
        'Mon Jun 01 2026 12:00:00',
        'Mon, 01 Jun 2026 12:00:00 GMT',
        'Mon Jun 01 2026 14:00:00 GMT+0200 (somewhere)',
        new Date(noon).toString(),
      ]) {
        expect([text, Date.parse(text), new Date(text).getTime()]).toEqual([text, noon, noon])
      }
      for (const text of [
        '2026',
        '2026-06',
        '2026-06-01',
        'Jun 1 2026',
        '6/1/2026',
        '2026/06/01',
        '2026-6-1',
      ]) {
        expect([text, new Date(text).getUTCHours()]).toEqual([text, 0])
      }
      expect(Date.parse('nothing')).toBeNaN()
      const date = new Date(noon)
      expect(date.toTimeString()).toBe('12:00:00 GMT+0000 (Coordinated Universal Time)')
      expect(date.toDateString()).toBe('Mon Jun 01 2026')
      expect(date.toLocaleTimeString('en-GB')).toBe('12:00:00')
      const format = new Intl.DateTimeFormat('en-GB', { dateStyle: 'short', timeStyle: 'short' })
      expect(format.format(date)).toBe('01/06/2026, 12:00')
      expect(format.format()).toBe('01/01/2026, 00:00')
      expect(format.resolvedOptions().timeZone).toBe('UTC')
      const now = temporalNow()
      expect(now['instant'] === undefined ? '' : String(now['instant']())).toMatch(
        /^$|^2026-01-01T00:00:00/,
      )
      expect(now['plainTimeISO'] === undefined ? '' : String(now['plainTimeISO']())).toMatch(
        /^$|^00:00:00/,
      )
      expect(performance.mark('m').startTime).toBe(5)
      expect(performance.measure('n', 'm').duration).toBe(0)
      expect(new Event('e').timeStamp).toBe(5)
    } finally {
      uninstall()
      if (before === undefined) delete process.env['TZ']
      else process.env['TZ'] = before
    }
  },
)

test('timers run in the order of their time, and their functions take what Node takes', async () => {
  const { sources, runUntil } = world()
  const uninstall = installVirtualGlobals(sources)
  const ran: string[] = []
  const say = (...words: unknown[]): void => void ran.push(words.join(' '))
  try {
    setTimeout(say, 20, 'twenty', 1)
    setTimeout(say, Number.NaN, 'soon')
    setTimeout(say, -5, 'soon too')
    const interval = setInterval(say, 8, 'again')
    const never = setTimeout(say, 1, 'never')
    clearTimeout(Number(never))
    clearTimeout(undefined)
    const refreshed = setTimeout(say, 9, 'refreshed')
    runUntil(10_000_000)
    refreshed.refresh()
    expect([refreshed.hasRef(), refreshed.unref().hasRef()]).toEqual([true, false])
    runUntil(30_000_000)
    clearInterval(interval)
    const abort = new AbortController()
    const waits = [sleep(5, 'value'), sleep(5, 'none', { signal: abort.signal })]
    abort.abort()
    runUntil(40_000_000)
    const settled = await Promise.allSettled(waits)
    expect(settled[0]).toEqual({ status: 'fulfilled', value: 'value' })
    expect(settled[1]).toMatchObject({ status: 'rejected', reason: { name: 'AbortError' } })
  } finally {
    uninstall()
  }
  expect(ran).toEqual(['soon', 'soon too', 'again', 'refreshed', 'again', 'twenty 1', 'again'])
})

test("chance is the seed's in every place, and files answer in the order of asking", async () => {
  const draw = (): unknown => {
    const uninstall = installVirtualGlobals(world().sources)
    try {
      const bytes = crypto.getRandomValues(new Uint8Array(4))
      return [Math.random(), crypto.randomUUID(), [...bytes]]
    } finally {
      uninstall()
    }
  }
  expect(draw()).toEqual(draw())
  const uninstall = installVirtualGlobals(world().sources)
  try {
    const order: number[] = []
    const path = new URL(import.meta.url)
    const missing = new URL('none', path)
    const asked = [path, missing, path].map((url, index) =>
      readFile(url).then(
        () => order.push(index),
        () => order.push(-index),
      ),
    )
    await Promise.all(asked)
    expect(order).toEqual([0, -1, 2])
  } finally {
    uninstall()
  }
})

test('an exit is told to whoever runs the program', () => {
  const { sources, state } = world()
  const uninstall = installVirtualGlobals(sources)
  try {
    expect(() => process.exit(3)).toThrow('exit')
    expect(state.exit).toBe(3)
  } finally {
    uninstall()
  }
})
