/**
 * What the hypervisor costs a guest that calls it, and an interrupt on its way: each as a ratio, within one run, over the least that the
 * platform lets it cost.
 */

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { alignTable, describeEnvironment, median, readEnvironment } from '@guestyard/scenario'

import { measureCalls } from './hypervisor-figures/calls.ts'
import type { PathFigures } from './hypervisor-figures/calls.ts'
import { measureInterrupts } from './hypervisor-figures/interrupts.ts'
import { flagError, runScript } from './script-run.ts'

const HELP = `What hypercalls and interrupts cost, over the least that they could.

  npx node scripts/hypervisor-figures.ts [options]

  --json FILE   writes every figure with machine, Node, V8 and commit; - for standard output
  --quick       a third of the rounds
  --help        this text

Hypercalls are held to an empty WebAssembly call (kept from being inlined) and the atomic accesses that they need, an interrupt to a doorbell
between two threads that spin. Takes some seconds; two processors should be free.

  npx node scripts/hypervisor-figures.ts --json hypervisor.json
  npx node scripts/hypervisor-figures.ts --quick --json - | jq .judged
`

/** Rounds of each figure. */
const ROUNDS = 45
/** The most that a median ratio may be. */
const CALL_GOAL = 3
const INTERRUPT_GOAL = 2

interface Flags {
  readonly json: string | null
  readonly rounds: number
}

interface Judged {
  readonly what: string
  readonly nanoseconds: number
  readonly bareNanoseconds: number
  readonly ratio: number
  readonly goal: number
  readonly held: boolean
}

await runScript(
  () => readFlags(process.argv.slice(2)),
  async (flags, signal) => {
    const environment = await readEnvironment()
    const say = flags.json === '-' ? console.error : console.log
    say(describeEnvironment(environment))
    const calls = await measureCalls(flags.rounds, signal)
    const interrupts = await measureInterrupts(flags.rounds, signal)
    const judged = [
      ...calls.map((figures) => judge(figures, CALL_GOAL)),
      judge(interrupts, INTERRUPT_GOAL),
    ]
    say(report(judged))
    if (flags.json !== null) {
      const record = {
        script: 'hypervisor-figures',
        when: new Date().toISOString(),
        environment,
        flags,
        judged,
        figures: [...calls, interrupts],
      }
      const text = `${JSON.stringify(record, null, 2)}\n`
      if (flags.json === '-') process.stdout.write(text)
      else writeFileSync(flags.json, text)
    }
    return judged.every(({ held }) => held)
  },
)

function readFlags(args: string[]): Flags | null {
  try {
    const { values } = parseArgs({
      args,
      options: { json: { type: 'string' }, quick: { type: 'boolean' }, help: { type: 'boolean' } },
    })
    if (values.help) {
      process.stdout.write(HELP)
      return null
    }
    return { json: values.json ?? null, rounds: values.quick ? ROUNDS / 3 : ROUNDS }
  } catch (error) {
    throw flagError(error)
  }
}

function judge({ what, nanoseconds, bareNanoseconds, ratios }: PathFigures, goal: number): Judged {
  const ratio = median([...ratios])
  return {
    what,
    nanoseconds: median([...nanoseconds]),
    bareNanoseconds: median([...bareNanoseconds]),
    ratio,
    goal,
    held: ratio <= goal,
  }
}

function report(judged: readonly Judged[]): string {
  return [
    '',
    ...alignTable(
      ['median of rounds', 'ns', 'least, ns', 'ratio', 'goal', ''],
      judged.map(({ what, nanoseconds, bareNanoseconds, ratio, goal, held }) => [
        what,
        nanoseconds.toFixed(1),
        bareNanoseconds.toFixed(1),
        ratio.toFixed(2),
        `within ${goal}x`,
        held ? 'held' : 'MISSED',
      ]),
    ),
  ].join('\n')
}
