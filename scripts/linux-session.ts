/**
 * Shows that a live console session can be had again: one is recorded with what somebody would type, at the pace of real time, and replayed on several
 * Nodes. Each replay must say the same bytes and end at the same turn. The guest has to be fetched first.
 */

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { InputError } from '@guestyard/scenario'

import { run, stopRunning } from './house/run.ts'
import { ROOT, workspaceEnvironment } from './house/workspace.ts'
import { writeJson } from './json-file.ts'
import { abortable, flagError, runScript } from './script-run.ts'

const HELP = `Records a console session of Linux and replays it on several Nodes.

  npx node scripts/linux-session.ts [options]

  --node LIST   versions, from the npm registry (22.21.0,24.21.0,26.10.0)
  --json FILE   writes which replays were the same; - for standard output
  --help        this text

Example:
  npx guestyard guest fetch linux && npx node scripts/linux-session.ts

Exit codes: 0 all the same, 1 something differs or failed, 2 a wrong flag, 130 interrupted.
`

const COMMAND = 'packages/cli/bin/guestyard.js'
const TIMEOUT_MS = 300_000
const PROMPT = '/home # '
/** Typed one after the other, each when the shell asks for it: chance, time, files, a wait, and the end. */
const TYPED = [
  'date; head -c 16 /dev/urandom | md5sum',
  'dd if=/dev/urandom of=/tmp/file bs=1k count=500 2>/dev/null; md5sum /tmp/file; rm /tmp/file',
  'sleep 1; cat /proc/uptime /proc/sys/kernel/random/boot_id',
  'exit',
]

interface Flags {
  readonly nodes: readonly string[]
  readonly json: string | null
}

await runScript(
  () => readFlags(process.argv.slice(2)),
  async ({ nodes, json }, signal) => {
    const folder = mkdtempSync(join(tmpdir(), 'guestyard-session-'))
    const recording = join(folder, 'session')
    try {
      const said = await record(recording, signal)
      const replays = []
      for (const node of nodes) {
        const problem = await abortable(replay(recording, node, said), signal)
        process.stderr.write(`${problem === null ? '✓' : '✗'} Node ${node} ${problem ?? ''}\n`)
        replays.push({ node, problem })
      }
      if (json !== null) writeJson(json, { script: 'linux-session', bytes: said.length, replays })
      return replays.every(({ problem }) => problem === null)
    } finally {
      stopRunning()
      rmSync(folder, { recursive: true, force: true })
    }
  },
)

function readFlags(args: string[]): Flags | null {
  try {
    const { values } = parseArgs({
      args,
      options: {
        node: { type: 'string' },
        json: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help === true) {
      process.stdout.write(HELP)
      return null
    }
    const nodes = (values.node ?? '22.21.0,24.21.0,26.10.0').split(',')
    for (const node of nodes) {
      if (!/^\d+\.\d+\.\d+$/.test(node)) {
        throw new InputError('--node', `expected versions such as 26.10.0, got '${node}'`)
      }
    }
    return { nodes, json: values.json ?? null }
  } catch (error) {
    throw error instanceof InputError ? error : flagError(error)
  }
}

/** What the console said. */
async function record(recording: string, signal: AbortSignal): Promise<string> {
  const child = spawn(process.execPath, [COMMAND, 'linux', '--record', recording], {
    cwd: ROOT,
    env: workspaceEnvironment(),
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: TIMEOUT_MS,
    signal,
  })
  let said = ''
  let seen = 0
  let typed = 0
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
    // The first prompt is shown twice: the console sends a line end of its own.
    if (said.indexOf(PROMPT, seen) < 0 || typed === TYPED.length) return
    seen = said.length
    child.stdin.write(`${TYPED[typed]}\n`)
    typed += 1
  })
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.on('error', reject)
  child.on('close', resolve)
  const code = await promise
  if (code !== 0 || typed < TYPED.length) throw new Error(`the session was cut off: ${said}`)
  return said
}

/** Why the replay is not the session again; null: it is. */
async function replay(recording: string, node: string, said: string): Promise<string | null> {
  const runtime = `node-${process.platform}-${process.arch}@${node}`
  const finished = await run(
    'npx',
    [
      ...['-y', '-p', runtime, 'node', '--disable-warning=ExperimentalWarning', COMMAND],
      ...['linux', '--replay', recording],
    ],
    { cwd: ROOT, timeoutMs: TIMEOUT_MS },
  )
  if (!finished.ok) return finished.reason ?? 'it failed'
  return finished.stdout === said ? null : 'its console said something else'
}
