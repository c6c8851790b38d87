// How scripts refuse, and how they are interrupted.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

function start(args: readonly string[]) {
  const [name, ...flags] = args
  const child = spawn(process.execPath, [`scripts/${name}`, ...flags], { cwd: ROOT })
  const ended = once(child, 'close').then(([exitCode]: unknown[]) => exitCode)
  return { child, ended }
}

async function refusal(...args: readonly string[]): Promise<{ exitCode: unknown; stderr: string }> {
  const { child, ended } = start(args)
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return { exitCode: await ended, stderr }
}

test.each([
  [
    'interrupt-storm.ts --ms 50 --rate 1',
    '--rate: 1 packets a second are too few to measure in 50 ms',
  ],
  ['boot-storm.ts --json /none/x', '--json: no folder /none'],
  ['scheduler-fairness.ts --json /none/x', '--json: no folder /none'],
  ['scheduler-fairness.ts --seconds 0', '--seconds: a number from 0.5 to 600, not 0'],
  ['ring-soak.ts --seconds 0', '--seconds: a whole number from 1 to 1000000000, not "0"'],
  ['virtual-repeat.ts none.ts', 'none.ts: no such file'],
  ['fair-shares.ts', 'a scenario: npx guestyard run scripts/fair-shares.ts'],
])('%s is refused on one line', async (line, stderr) => {
  expect(await refusal(...line.split(' '))).toEqual({ exitCode: 2, stderr: `${stderr}\n` })
})

test.skipIf(process.platform === 'win32')(
  'a script whose work holds its thread hears of Ctrl-C all the same',
  async () => {
    const { child, ended } = start(['hypervisor-figures.ts', '--json', '-'])
    // It names the machine, and then its thread is busy.
    await once(child.stderr, 'data')
    child.kill('SIGINT')
    expect(await ended).toBe(130)
  },
)
