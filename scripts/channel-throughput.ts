/**
 * The load tester with every knob, and the bus beside bare rings: the same packets through guest, hypervisor
 * signalling and root, and between two threads that share nothing but the rings, in turns in one run.
 */

import { addLoadOptions, readLoadFlags, runLoadJob } from '@guestyard/cli'
import type { LoadFlags, LoadJob } from '@guestyard/cli'
import { Command, CommanderError } from 'commander'
import { InputError } from '@guestyard/scenario'

import { compareWithBareRing } from './channel-throughput/bare-ring.ts'
import { readWays, WAYS_DEFAULT } from './channel-throughput/ways.ts'
import type { Way } from './channel-throughput/ways.ts'
import { runScript } from './script-run.ts'

interface ThroughputFlags extends LoadFlags {
  readonly rounds: string
  readonly ways: string
  readonly leastRatio?: string
}

interface ThroughputJob extends LoadJob {
  readonly rounds: number
  readonly ways: readonly Way[]
  readonly leastRatio: number | null
}

const EXAMPLES = `
Examples:
  npx node scripts/channel-throughput.ts
  npx node scripts/channel-throughput.ts --payload 64,256,1KiB,4KiB,16KiB --report out.html
  npx node scripts/channel-throughput.ts --waiting busy --rounds 7 --payload 64,1KiB,4KiB --least-ratio 0.9
  npx node scripts/channel-throughput.ts --waiting busy --ways both,2-channels,8-channels
  npx node scripts/channel-throughput.ts --rounds 0 --direction echo --waiting busy,adaptive,block`

await runScript(
  () => readFlags(process.argv.slice(2)),
  async (job, signal) => {
    const report = await runLoadJob(job, process, signal, (context) =>
      compareWithBareRing(context, job.loads, job),
    )
    return report.outcome === 'passed'
  },
)

async function readFlags(args: readonly string[]): Promise<ThroughputJob | null> {
  const command = addLoadOptions(new Command('channel-throughput'))
    .description('Measure channels, and the bus beside a bare ring.')
    .option(
      '--rounds <count>',
      'rounds that count, of bus and bare ring in turns, 0..100; 0 leaves it out',
      '3',
    )
    .option(
      '--ways <names>',
      'what is compared: guest-to-root, root-to-guest, both, N-channels; a list',
      WAYS_DEFAULT,
    )
    .option('--least-ratio <ratio>', 'fail when the bus is below this share of the bare ring')
    .addHelpText('after', EXAMPLES)
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
  try {
    command.parse([...args], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return null
    const text = error.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ')
    throw new InputError('channel-throughput', text)
  }
  const flags = command.opts<ThroughputFlags>()
  const rounds = inRange('--rounds', flags.rounds, 100)
  if (!Number.isInteger(rounds)) throw new InputError('--rounds', 'must be a whole number')
  const ways = readWays('--ways', flags.ways)
  const leastRatio =
    flags.leastRatio === undefined ? null : inRange('--least-ratio', flags.leastRatio, 1)
  // A busy root spins on through the bare ring's turns and takes a processor from them.
  const busyRoot = flags.rootWaiting === 'busy'
  if (busyRoot && leastRatio !== null) {
    throw new InputError('--least-ratio', 'cannot be judged beside a root that waits busy')
  }
  if (busyRoot && rounds > 0) {
    process.stderr.write('no comparison with a bare ring: a busy root would slow it down\n')
  }
  return {
    ...(await readLoadFlags(flags, 'channel-throughput')),
    rounds: busyRoot ? 0 : rounds,
    ways,
    leastRatio,
  }
}

function inRange(flag: string, text: string, most: number): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (value >= 0 && value <= most) return value
  throw new InputError(flag, `must be a number from 0 to ${most}, got ${text}`)
}
