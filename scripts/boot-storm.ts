/**
 * Many guests that start at the same moment: when each is up, which part of its start took how long, what they weigh.
 *
 *     npx node scripts/boot-storm.ts --guests 128
 *     guestyard run scripts/boot-storm.ts --engine virtual --seed 7
 */

import process from 'node:process'
import {
  alignTable,
  defineScenario,
  formatBytes,
  type Scenario,
  type VmDefinition,
} from '@guestyard/scenario'

import { runStorm, usualScenario, type Storm, type StormScript } from './storms/storm-run.ts'
import { spreadOf, type Spread } from './storms/spread.ts'

interface BootFigures {
  readonly guests: number
  readonly failed: readonly string[]
  readonly allUpMs: number
  readonly guestsPerSecond: number
  /** From the first start to this guest's end of it. */
  readonly upMs: Spread
  /** Of that: before its worker was asked for (its turn to boot, worker process, partition). */
  readonly beforeWorkerMs: Spread
  /** Of that: thread, modules, kernel, contact, offers. */
  readonly busMs: Spread
  /** Of that: from the offers to the first open channel. */
  readonly channelMs: Spread
  /** Growth of the process; null when it is not this script's own. */
  readonly residentBytesPerGuest: number | null
}

const SCRIPT: StormScript<'guests' | 'memory', BootFigures> = {
  name: 'boot-storm',
  help: 'Many guests that start at the same moment.\n',
  sizes: {
    guests: { what: 'guests', from: 1, to: 256, usual: 64 },
    memory: { what: 'RAM of each, MiB', from: 2, to: 1024, usual: 4 },
  },
  make: bootStorm,
}

export default usualScenario(SCRIPT)
if (import.meta.main) await runStorm(SCRIPT, process.argv.slice(2))

function bootStorm(sizes: {
  readonly guests: number
  readonly memory: number
}): Storm<BootFigures> {
  let figures: BootFigures | null = null
  const names = Array.from({ length: sizes.guests }, (_, index) => `guest-${index}`)
  const memory = `${sizes.memory} MiB`
  const scenario: Scenario = defineScenario({
    name: `boot storm of ${sizes.guests} guests`,
    vms: Object.fromEntries(names.map((name): [string, VmDefinition] => [name, { memory }])),
    async run({ vms, expect, log, signal }) {
      // They started just before this line.
      const beganMs = performance.now()
      const residentBefore = process.memoryUsage.rss()
      const starts = await Promise.allSettled(
        vms.all.list.map(async (vm) => {
          const { bootMs, firstChannelMs } = await vm.started()
          return { upMs: performance.now() - beganMs, bootMs, firstChannelMs }
        }),
      )
      const allUpMs = performance.now() - beganMs
      signal.throwIfAborted()
      const resident = process.memoryUsage.rss() - residentBefore
      const up = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
      const failed = starts.flatMap((start) =>
        start.status === 'rejected' ? [String(start.reason)] : [],
      )
      figures = {
        guests: sizes.guests,
        failed,
        allUpMs,
        guestsPerSecond: (up.length / allUpMs) * 1000,
        upMs: spreadOf(up.map((start) => start.upMs)),
        beforeWorkerMs: spreadOf(up.map((start) => start.upMs - start.firstChannelMs)),
        busMs: spreadOf(up.map((start) => start.bootMs)),
        channelMs: spreadOf(up.map((start) => start.firstChannelMs - start.bootMs)),
        residentBytesPerGuest: import.meta.main ? resident / sizes.guests : null,
      }
      for (const line of tableOf(figures)) log(line)
      expect(failed, 'guests that did not start').toEqual([])
    },
  })
  return { scenario, figures: () => figures }
}

function tableOf(figures: BootFigures): string[] {
  const { upMs, beforeWorkerMs, busMs, channelMs, allUpMs, guestsPerSecond, guests } = figures
  const { residentBytesPerGuest } = figures
  const row = (what: string, { p50, p99, most }: Spread): string[] => [
    what,
    ...[p50, p99, most].map((ms) => ms.toFixed(3)),
  ]
  return [
    ...alignTable(
      ['start to up, ms', 'p50', 'p99', 'slowest'],
      [
        row('all of it', upMs),
        row('  its turn, worker process, partition', beforeWorkerMs),
        row('  thread, modules, bus', busMs),
        row('  first channel', channelMs),
      ],
    ),
    `${guests} guests up in ${(allUpMs / 1000).toFixed(2)} s, ${guestsPerSecond.toFixed(0)} a second`,
    ...(residentBytesPerGuest === null
      ? []
      : [
          `resident memory grew by ${formatBytes(Math.max(0, residentBytesPerGuest))} a guest, the garbage of starting included`,
        ]),
  ]
}
