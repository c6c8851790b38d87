// How many small typed objects a second go from one thread to another: `ring/messages` beside `postMessage`.
//
// Both are measured in the same round, one after the other, in the same process and on the same two threads, because
// a machine's speed changes from second to second; what counts is the ratio within a round, and its median.

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { channelPair, openMessages } from '@guestyard/ring/messages'
import { type Reading, makeReading, outOfOrder } from './messages-throughput/reading.ts'

const HELP = `Messages a second between two threads: ring/messages beside postMessage.

  npx node scripts/messages-throughput.ts [options]

  --messages N   messages of each measurement (200000)
  --rounds N     rounds; medians of the quieter half are reported (7)
  --bytes SIZE   data bytes of each ring, such as '1 MiB' (1 MiB)
  --quick        20000 messages, 3 rounds
  --json FILE    writes every round with machine, Node, V8 and commit
  --help         this text
`

const OPTIONS = {
  messages: { type: 'string' },
  rounds: { type: 'string' },
  bytes: { type: 'string' },
  quick: { type: 'boolean' },
  json: { type: 'string' },
  help: { type: 'boolean' },
} as const

const MEASURES = [
  'postMessage',
  'ring, one by one',
  'ring, batches',
  'ring, blocking worker',
  'postMessage from worker',
  'ring from worker',
] as const
type Measure = (typeof MEASURES)[number]

interface Round {
  readonly perSecond: Record<Measure, number>
  /** Times a second that another program took a processor from this one. */
  readonly disturbance: number
}

const worker = new Worker(new URL('./messages-throughput/peer-worker.ts', import.meta.url))

interface Settings {
  readonly messages: number
  readonly rounds: number
  readonly bytes: string
  readonly json: string | undefined
}

/** Messages a second from here to the worker, until it has checked the last one. */
async function ringToWorker(
  run: 'receive-each' | 'receive-batches' | 'receive-blocking',
  settings: Settings,
): Promise<number> {
  const [here, there] = channelPair({ bytes: settings.bytes })
  const channel = openMessages<Reading>(here)
  worker.postMessage({ run, port: there, count: settings.messages })
  await nextMessage('ready')
  const done = nextMessage('done')
  const start = performance.now()
  if (run === 'receive-each') {
    for (let id = 0; id < settings.messages; id++) await channel.send(makeReading(id))
  } else {
    for (let id = 0; id < settings.messages; id++) {
      const message = makeReading(id)
      if (!channel.trySend(message)) await channel.send(message)
    }
    channel.flush()
  }
  await done
  const perSecond = (settings.messages / (performance.now() - start)) * 1000
  await channel.close()
  return perSecond
}

async function ringFromWorker(settings: Settings): Promise<number> {
  const [here, there] = channelPair({ bytes: settings.bytes })
  const channel = openMessages<Reading>(here)
  const ready = nextMessage('ready')
  worker.postMessage({ run: 'send-async', port: there, count: settings.messages })
  await ready
  const start = performance.now()
  let expected = 0
  for await (const batch of channel.batches()) {
    for (const message of batch) {
      if (message.id === expected) expected++
      else throw new Error(outOfOrder(message.id, expected))
    }
  }
  const perSecond = (expected / (performance.now() - start)) * 1000
  await channel.close()
  return perSecond
}

async function postToWorker({ messages }: Settings): Promise<number> {
  worker.postMessage({ run: 'post-in', count: messages })
  const done = nextMessage('done')
  const start = performance.now()
  for (let id = 0; id < messages; id++) worker.postMessage(makeReading(id))
  await done
  return (messages / (performance.now() - start)) * 1000
}

async function postFromWorker({ messages }: Settings): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let expected = 0
  const check = (message: Reading): void => {
    if (message.id !== expected) reject(new Error(outOfOrder(message.id, expected)))
    expected++
    if (expected === messages) resolve()
  }
  worker.on('message', check)
  const start = performance.now()
  worker.postMessage({ run: 'post-out', count: messages })
  await promise
  worker.off('message', check)
  return (messages / (performance.now() - start)) * 1000
}

function nextMessage(text: string): Promise<void> {
  return new Promise((resolve) => {
    const listener = (message: unknown): void => {
      if (message !== text) return
      worker.off('message', listener)
      resolve()
    }
    worker.on('message', listener)
  })
}

async function measureRound(settings: Settings): Promise<Round> {
  const before = process.resourceUsage().involuntaryContextSwitches
  const start = performance.now()
  const perSecond = {
    postMessage: await postToWorker(settings),
    'ring, one by one': await ringToWorker('receive-each', settings),
    'ring, batches': await ringToWorker('receive-batches', settings),
    'ring, blocking worker': await ringToWorker('receive-blocking', settings),
    'postMessage from worker': await postFromWorker(settings),
    'ring from worker': await ringFromWorker(settings),
  }
  const switches = process.resourceUsage().involuntaryContextSwitches - before
  return { perSecond, disturbance: (switches / (performance.now() - start)) * 1000 }
}

/** Other programs that want the processors spoil a round; the kernel counts how often they took one away. */
function quietest(rounds: readonly Round[]): Round[] {
  const byDisturbance = rounds.toSorted((a, b) => a.disturbance - b.disturbance)
  return byDisturbance.slice(0, Math.ceil(rounds.length / 2))
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

interface Summary {
  readonly perSecond: Record<string, number>
  readonly ratios: Record<string, number>
}

function report(rounds: readonly Round[]): Summary {
  const of = (name: Measure): number => median(rounds.map((round) => round.perSecond[name]))
  const ratio = (name: Measure, to: Measure): number =>
    median(rounds.map(({ perSecond }) => perSecond[name] / perSecond[to]))
  const perSecond = Object.fromEntries(MEASURES.map((name) => [name, Math.round(of(name))]))
  const ratios = {
    'ring, one by one / postMessage': ratio('ring, one by one', 'postMessage'),
    'ring, batches / postMessage': ratio('ring, batches', 'postMessage'),
    'ring, blocking worker / postMessage': ratio('ring, blocking worker', 'postMessage'),
    'ring from worker / postMessage from worker': ratio(
      'ring from worker',
      'postMessage from worker',
    ),
  }
  for (const [name, value] of Object.entries(perSecond)) {
    console.log(`${name.padEnd(26)} ${(value / 1e6).toFixed(3)} M messages/s`)
  }
  for (const [name, value] of Object.entries(ratios)) {
    console.log(`${name.padEnd(44)} ${value.toFixed(2)}`)
  }
  return { perSecond, ratios }
}

function commitNow(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return 'no commit'
  }
}

function readSettings(): Settings | undefined {
  const { values } = parseArgs({ options: OPTIONS })
  if (values.help === true) return undefined
  const quick = values.quick === true
  return {
    messages: readCount('--messages', values.messages, quick ? 20_000 : 200_000),
    rounds: readCount('--rounds', values.rounds, quick ? 3 : 7),
    bytes: values.bytes ?? '1 MiB',
    json: values.json,
  }
}

function readCount(flag: string, text: string | undefined, otherwise: number): number {
  const count = text === undefined ? otherwise : Number(text)
  if (Number.isInteger(count) && count > 0) return count
  throw new Error(`${flag} must be a whole number above 0; got '${text}'`)
}

async function main(settings: Settings): Promise<void> {
  await measureRound(settings)
  const rounds: Round[] = []
  for (let i = 0; i < settings.rounds; i++) rounds.push(await measureRound(settings))
  const quiet = quietest(rounds)
  const result = report(quiet)
  console.log(`from the ${quiet.length} least disturbed of ${rounds.length} rounds`)
  if (settings.json === undefined) return
  const machine = {
    cpu: cpus()[0]?.model,
    processors: cpus().length,
    platform: process.platform,
    arch: process.arch,
  }
  const versions = { node: process.versions.node, v8: process.versions.v8, commit: commitNow() }
  writeFileSync(
    settings.json,
    `${JSON.stringify({ machine, versions, settings, ...result, rounds }, undefined, 2)}\n`,
  )
}

try {
  const settings = readSettings()
  if (settings === undefined) console.log(HELP)
  else {
    channelPair({ bytes: settings.bytes })
    await main(settings)
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
} finally {
  await worker.terminate()
}
