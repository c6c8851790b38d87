// The long run of test/hostile/ring-scribble.test.ts: a guest scribbles over its rings, a million times and more, and everything
// that must hold is checked after each mutation. One thread and a seed: a failure can be run again.

import { writeFileSync } from 'node:fs'
import { readEnvironment } from '@guestyard/scenario'

import { RingScribbler, type ScribbleReport } from '../test/hostile/ring-scribbler.ts'
import { readScriptFlags, wholeNumber } from './script-flags.ts'
import { runScript } from './script-run.ts'

const HELP = `Scribbles over the rings of a guest and checks that nobody else notices.

  npx node scripts/scribble-soak.ts [options]

  --mutations N   mutations in all (1000000)
  --seed S        first seed, 0 to 4294967295 (drawn; printed)
  --json FILE     writes what was done, with machine and Node
  --help          this text

Seeds go up by one every 100000 mutations. Ctrl-C ends after the current thousand and reports what was done. The exit code
is 1 when something did not hold; the line says with which seed and after how many mutations.
`

const SEEDS = 2 ** 32
const MUTATIONS_PER_SEED = 100_000
const MUTATIONS_PER_LOOK = 1_000
const PROGRESS_MS = 5_000

interface Flags {
  readonly mutations: number
  readonly seed: number
  readonly json: string | null
}

interface Outcome {
  readonly reports: ScribbleReport[]
  readonly failure: string | null
  readonly interrupted: boolean
  readonly seconds: number
}

await runScript(readFlags, async (flags, signal) => {
  const outcome = await soak(flags, signal)
  console.log(summary(outcome))
  if (flags.json !== null) {
    const environment = await readEnvironment()
    const when = new Date().toISOString()
    const record = { script: 'scribble-soak', when, environment, flags, ...outcome }
    writeFileSync(flags.json, `${JSON.stringify(record, null, 2)}\n`)
  }
  return outcome.failure === null
})

function readFlags(): Flags | null {
  const values = readScriptFlags({ mutations: 'text', seed: 'text', json: 'text' }, HELP)
  if (values === null) return null
  return {
    mutations: wholeNumber('--mutations', values.mutations, {
      least: 1,
      most: Number.MAX_SAFE_INTEGER,
      otherwise: 1_000_000,
    }),
    seed: wholeNumber('--seed', values.seed, {
      least: 0,
      most: SEEDS - 1,
      otherwise: Math.floor(Math.random() * SEEDS),
    }),
    json: values.json ?? null,
  }
}

async function soak({ mutations, seed }: Flags, signal: AbortSignal): Promise<Outcome> {
  const reports: ScribbleReport[] = []
  const started = performance.now()
  let shown = started
  let failure: string | null = null
  let done = 0
  for (let next = seed; done < mutations && !signal.aborted && failure === null; next += 1) {
    const share = Math.min(MUTATIONS_PER_SEED, mutations - done)
    const scribbler = new RingScribbler(next)
    for (let made = 0; made < share && !signal.aborted && failure === null;) {
      const count = Math.min(MUTATIONS_PER_LOOK, share - made)
      try {
        scribbler.run(count)
      } catch (error) {
        failure = error instanceof Error ? error.message : String(error)
      }
      made += count
      done += count
      if (performance.now() - shown > PROGRESS_MS) {
        shown = performance.now()
        console.log(`${done} of ${mutations} mutations, seed ${next}`)
      }
      // Ctrl-C is heard between two thousands.
      await new Promise((resolve) => setImmediate(resolve))
    }
    reports.push(scribbler.report())
  }
  return {
    reports,
    failure,
    interrupted: signal.aborted,
    seconds: (performance.now() - started) / 1000,
  }
}

function summary({ reports, failure, interrupted, seconds }: Outcome): string {
  const sum = (pick: (report: ScribbleReport) => number): number =>
    reports.reduce((total, report) => total + pick(report), 0)
  const faults = new Map<string, number>()
  for (const report of reports) {
    for (const [name, count] of Object.entries(report.faults)) {
      faults.set(name, (faults.get(name) ?? 0) + count)
    }
  }
  const lines = [
    `${sum((r) => r.mutations)} mutations in ${seconds.toFixed(0)} s, ${sum((r) => r.openings)} openings of the channel, ` +
      `${sum((r) => r.neighbourPackets)} packets of the neighbour, all in order${interrupted ? ' (interrupted)' : ''}`,
    ...[...faults]
      .toSorted((a, b) => b[1] - a[1])
      .map(([name, count]) => `  ${name.padEnd(22)}${count}`),
  ]
  if (failure !== null) lines.push(`FAILED: ${failure}`)
  return lines.join('\n')
}
