import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

import { runCommand } from '../src/index.ts'
import { guestyard, scenario } from './command-line.ts'

const MANIFEST = fileURLToPath(new URL('../package.json', import.meta.url))

/** Runs the command in this process: what is refused starts nothing, so that this is the same thing. */
async function refused(args: readonly string[]): Promise<string> {
  let stdout = ''
  let stderr = ''
  const sink = (take: (text: string) => void): NodeJS.WritableStream =>
    ({ write: (text: string) => (take(text), true) }) as NodeJS.WritableStream
  const exitCode = await runCommand(args, {
    stdout: sink((text) => (stdout += text)),
    stderr: sink((text) => (stderr += text)),
  })
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
  expect(stderr).toMatch(/^guestyard: [^\n]+\n$/)
  return stderr.slice('guestyard: '.length, -1)
}

describe('what is wrong is refused on one line, with exit code 2', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['run', "missing required argument 'scenario'"],
    [
      'linux --memory much',
      "--memory: 'much' is not a size: write a number and B, KiB, MiB, GiB or TiB, such as '64 MiB'",
    ],
    [
      'linux --folder nowhere',
      'no Linux guest in nowhere: run `guestyard guest fetch linux` first',
    ],
    ['linux --disk none.vhdx', '--disk: none.vhdx: no such file or folder'],
    ['linux --disk', "option '--disk <file>' argument missing"],
    ['linux --nic bridge', "--nic: expected nat or private, got 'bridge'"],
    ['linux --allow any', '--allow: goes with --nic nat'],
    ['linux --nic private --allow any', '--allow: goes with --nic nat'],
    ['linux --pcap x.pcapng', '--pcap: goes with --nic'],
    ['linux --record a --nic nat', '--record: goes without --nic'],
    ['linux --record a --replay b', '--record: goes without --replay'],
    ['linux --replay b --script c', '--replay: goes without --script'],
    ['linux --save a', '--save: goes with --script'],
    ['linux --restore a', '--restore: goes with --script'],
    ['linux --script a --save b --nic private', '--save: goes without --nic'],
    ['linux --script a --restore b --generation 1', '--restore: goes without --generation 1'],
    ['linux --record a --save b', '--record: goes without --save'],
    ['linux --replay a --restore b', '--replay: goes without --restore'],
    ['linux --script', "option '--script <file>' argument missing"],
    ['guest fetch', "missing required argument 'guest'"],
    ['guest fetch plan9', "<guest>: no guest 'plan9': linux"],
    [
      'guest fetch linux --mirror ftp://host',
      'mirror: "ftp://host" is none (a URL: http://HOST/debian)',
    ],
    ['run none.ts', 'none.ts: no such file'],
    ['run a.ts b.ts', "too many arguments for 'run'. Expected 1 argument but got 2: a.ts, b.ts."],
    ['runn none.ts', "unknown command 'runn' (Did you mean run?)"],
    ['run none.ts --engine virtual', 'none.ts: no such file'],
    ['run none.ts --engine fast', "--engine: expected threads or virtual, got 'fast'"],
    ['run none.ts --seed 7', '--seed: needs --engine virtual'],
    ['run none.ts --trace a', '--trace: needs --engine virtual'],
    ['run none.ts --cost vpUnit=1 --engine threads', '--cost: needs --engine virtual'],
    ['run none.ts --seeds 1..2 --engine threads', '--seeds: needs --engine virtual'],
    [
      'run none.ts --engine virtual --seed -1',
      "--seed: expected a whole number from 0 to 4294967295, got '-1'",
    ],
    [
      'run none.ts --engine virtual --seed 4294967296',
      "--seed: expected a whole number from 0 to 4294967295, got '4294967296'",
    ],
    ['run none.ts --seeds 7', "--seeds: expected a range such as 1..1000, got '7'"],
    ['run none.ts --seeds 9..1', "--seeds: '9..1' ends before it begins"],
    ['run none.ts --seeds 0..4000000000', "--seeds: '0..4000000000' are more than 1000000000"],
    ['run none.ts --seeds 1..2 --seed 1', '--seeds: stands in place of --seed'],
    [
      'run none.ts --seeds 1..2 --trace a',
      '--trace: is of one run: give --seed in place of --seeds',
    ],
    ['run none.ts --seeds 1..2 --log a', '--log: is of one run: give --seed in place of --seeds'],
    ['run none.ts --seeds 1..2', 'none.ts: no such file'],
    [
      'run none.ts --engine virtual --trace a --json ./a',
      '--trace: a is the file of --json already',
    ],
    ['run none.ts --engine virtual --trace a --log a', '--trace: a is the file of --log already'],
    [
      'run none.ts --engine virtual --trace a --report a',
      '--trace: a is the file of --report already',
    ],
    [
      'run none.ts --engine virtual --trace -',
      '--trace: a trace does not go to standard output: name a file',
    ],
    ['run none.ts --log -', '--log: a log does not go to standard output: name a file'],
    ['run none.ts --engine virtual --trace /none/a', '--trace: no folder /none'],
    [
      'run none.ts --engine virtual --cost vpUnit',
      "--cost: expected name=nanoseconds such as vpUnit=300, got 'vpUnit'",
    ],
    [
      'run none.ts --engine virtual --cost speed=3',
      '--cost: no cost "speed": rootPoll, rootUnit, vpPoll, vpUnit, hypercall, dispatch, task, wake, control',
    ],
    [
      'run none.ts --engine virtual --cost vpPoll=0',
      '--cost: vpPoll: 0 is not a whole number of nanoseconds, 1 or more',
    ],
    [
      'run none.ts --engine virtual --cost __proto__=1',
      '--cost: no cost "__proto__": rootPoll, rootUnit, vpPoll, vpUnit, hypercall, dispatch, task, wake, control',
    ],
    [
      'run none.ts --engine virtual --time-limit 0ms',
      "--time-limit: must be from 1ms to 1000h, got '0ms'",
    ],
    [
      'run none.ts --engine virtual --time-limit 99999999999h',
      "--time-limit: must be from 1ms to 1000h, got '99999999999h'",
    ],
    [
      'run none.ts --engine virtual --time-limit soon',
      "--time-limit: 'soon' is not a duration: write a number and ns, us, ms, s, min or h, such as '5 s'",
    ],
    [
      'load --engine virtual',
      '--engine: load measures threads; run a scenario with --engine virtual',
    ],
    ['trace', "missing required argument 'file'"],
    ['trace none.trace', 'none.trace: no such file'],
    [`trace ${MANIFEST}`, `${MANIFEST}: is not a trace`],
    [`trace ${MANIFEST}/x`, `${MANIFEST}/x: cannot be read (ENOTDIR)`],
    [`trace ${tmpdir()}`, `${tmpdir()}: is not a file`],
    ['run none.ts --json /none/a.json', '--json: no folder /none'],
    [`run none.ts --report ${tmpdir()}`, `--report: ${tmpdir()} is a folder`],
    ['run none.ts --report -', '--report: a page does not go to standard output: name a file'],
    ['load --json - --report -', '--report: a page does not go to standard output: name a file'],
    [
      `load --json ${tmpdir()}/a --report ${tmpdir()}/./a`,
      `--report: ${tmpdir()}/./a is the file of --json already`,
    ],
    ['run none.ts --json a --log a', '--log: a is the file of --json already'],
    ['load --bach 3', "unknown option '--bach' (Did you mean --batch?)"],
    ['load --payload', "option '--payload <sizes>' argument missing"],
    [
      'load --payload 64MB',
      "--payload: '64MB' is not a size: write a number and B, KiB, MiB, GiB or TiB, such as '64 MiB'",
    ],
    ['load --payload 4', '--payload: must be a whole number from 8 to 65536, got 4'],
    ['load --payload 64,,8', "--payload: '64,,8' has an empty entry"],
    ['load --batch 0', '--batch: must be a whole number from 1 to 1024, got 0'],
    ['load --batch many', "--batch: 'many' is not a number"],
    ['load --channels 17', '--channels: must be a whole number from 1 to 16, got 17'],
    ['load --guests 0', '--guests: must be a whole number from 1 to 64, got 0'],
    [
      'load --direction up',
      '--direction: must be one of guest-to-root, root-to-guest, both, echo, got up',
    ],
    [
      'load --waiting busy,lazy',
      '--waiting: must be one of busy, adaptive, block, event-loop, got lazy',
    ],
    ['load --root-waiting block', "--root-waiting: expected event-loop or busy, got 'block'"],
    ['load --placement mixed', "--placement: expected contiguous or scattered, got 'mixed'"],
    [
      'load --rate 9 --direction both',
      '--rate: must be closed for direction both: the root sends without a rate',
    ],
    [
      'load --duration 5',
      "--duration: '5' is not a duration: write a number and ns, us, ms, s, min or h, such as '5 s'",
    ],
    [
      'load --duration 1s --packets 5',
      '--packets: stands in place of --duration; give one of them',
    ],
    [
      'load --warm-up long',
      "--warm-up: 'long' is not a duration: write a number and ns, us, ms, s, min or h, such as '5 s'",
    ],
    ['load --memory 1MiB', "--memory: '1MiB' is too small: at least 2 MiB"],
    [
      'load --ring 4GiB',
      '--ring: must be at most 16773120 (4095 pages: one GPADL describes both rings of a channel), got 4294967296',
    ],
    [
      'load --ring 8MiB --channels 4',
      '--ring: two rings for each of 4 channels of 8 MiB take 64 MiB; a guest of 64 MiB has 63 MiB for them',
    ],
    [
      'load --threshold p50=5',
      "--threshold: 'p50=5' is not METRIC>=VALUE, such as packetsPerSecond>=1e6",
    ],
    [
      'load --threshold p99<5us',
      '--threshold: p99 is not measured by a closed loop without echo: ask for direction echo or a rate',
    ],
    ['load --tolerance 10', "--tolerance: '10' is not a percentage below 100 such as 10%"],
    ['load --save-baseline /none/b.json', '--save-baseline: no folder /none'],
  ]
  for (const [line, message] of cases) {
    test(`${line}: ${message}`, async () => {
      expect(await refused(line.split(' '))).toBe(message)
    })
  }

  test('a field of a scenario file, by the name of the file and of the field', async () => {
    expect(await refused(['run', scenario('wrong-field.ts')])).toBe(
      `${scenario('wrong-field.ts')}: vms.db.memory: '64 MB' is not a size: write a number and B, KiB, MiB, GiB or TiB, such as '64 MiB'`,
    )
  })

  test('a baseline that is not there, or of another kind', async () => {
    expect(await refused(['load', '--baseline', 'none.json'])).toMatch(
      /^--baseline: no file none\.json$/,
    )
    expect(await refused(['load', '--baseline', MANIFEST])).toBe(
      `--baseline: ${MANIFEST}: not a baseline of guestyard (no "format")`,
    )
  })
})

describe('the command in a process of its own', () => {
  test('refuses bad input with exit code 2 and one line on standard error', async () => {
    const end = await guestyard(['load', '--batch', '0'])
    expect(end).toMatchObject({
      exitCode: 2,
      stdout: '',
      stderr: 'guestyard: --batch: must be a whole number from 1 to 1024, got 0\n',
    })
  })

  test('prints its version, and help with examples for itself and each subcommand', async () => {
    const [version, ...helps] = await Promise.all([
      guestyard(['--version']),
      guestyard(['--help']),
      guestyard(['run', '--help']),
      guestyard(['load', '--help']),
    ])
    expect(version).toMatchObject({ exitCode: 0, stderr: '' })
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
    for (const help of helps) {
      expect(help).toMatchObject({ exitCode: 0, stderr: '' })
      expect(help.stdout).not.toContain('(default: [])')
      expect(help.stdout).toMatch(/\nExamples:\n {2}guestyard /)
    }
  })
})

test('a scenario that waits at its top level for what never comes is refused on one line', async () => {
  const end = await guestyard(['run', scenario('waits.ts')])
  expect(end.stderr).toMatch(
    /^guestyard: \S+waits\.ts: cannot be loaded: Error: what it awaits at its top level never comes\n$/,
  )
  expect(end.exitCode).toBe(2)
})
