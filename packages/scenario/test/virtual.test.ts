// Scenarios in virtual time: what must be the same, what must differ, and what must be told.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { afterAll, describe, expect, test } from 'vitest'

import { readTraceFile } from '@guestyard/trace/node'

import { InputError, RunHangs, VirtualPool, loadScenario, runScenario } from '../src/index.ts'
import type { RunReport, VirtualJob } from '../src/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'guestyard-virtual-'))
const pool = new VirtualPool({ threads: 2, silenceMs: 2_000 })
/** For runs in which somebody keeps the processor: all of the silence is spent. */
const impatient = new VirtualPool({ threads: 2, silenceMs: 1_000 })

afterAll(async () => {
  await pool.close()
  await impatient.close()
  rmSync(folder, { recursive: true })
})

function scenario(name: string): string {
  return fileURLToPath(new URL(`./scenarios/${name}.ts`, import.meta.url))
}

function run(name: string, job: Partial<VirtualJob> = {}, runs = pool): Promise<RunReport> {
  const path = scenario(name)
  return runs.run({
    path,
    seed: 1,
    costs: {},
    trace: null,
    log: null,
    timeLimitMs: 600_000,
    ...job,
  })
}

/** The checks that did not hold, as a person would read them. */
function failures(report: RunReport): string[] {
  const failed = report.checks.filter((check) => !check.passed)
  return failed.map((check) => `${check.name}: ${check.actual} is not ${check.bound}`)
}

interface Traced {
  readonly report: string
  readonly bytes: Uint8Array
  readonly path: string
}

async function traced(name: string, seed: number, as: string): Promise<Traced> {
  const path = join(folder, as)
  const report = await run(name, { seed, trace: path })
  return { report: JSON.stringify(report), bytes: readFileSync(path), path }
}

describe('a seed', { timeout: 60_000 }, () => {
  test('gives the same report and the same trace, byte for byte, and another seed another one', async () => {
    const [first, second, other] = await Promise.all([
      traced('life-cycle', 7, 'first'),
      traced('life-cycle', 7, 'second'),
      traced('life-cycle', 8, 'other'),
    ])
    expect(second.report).toBe(first.report)
    expect(Buffer.compare(second.bytes, first.bytes)).toBe(0)
    expect(Buffer.compare(other.bytes, first.bytes)).not.toBe(0)
  })

  test('finds a race that others miss, and finds it again', async () => {
    const outcomes = new Map<number, string>()
    for (let seed = 0; seed < 40 && new Set(outcomes.values()).size < 2; seed += 1) {
      outcomes.set(seed, (await run('race', { seed })).outcome)
    }
    expect(new Set(outcomes.values())).toEqual(new Set(['passed', 'failed']))
    const failing = [...outcomes].find(([, outcome]) => outcome === 'failed')![0]
    expect(failures(await run('race', { seed: failing }))).toEqual([
      'answers in the order of asking: [4,2] is not equals [2,4]',
    ])
  })

  test('decides what programs see of time and chance, and programs differ from each other', async () => {
    const seen = await Promise.all([7, 7, 8].map((seed) => run('host-things', { seed })))
    for (const report of seen) {
      expect(failures(report)).toEqual([])
      expect(report.error).toBeNull()
    }
    const [first, again, other] = seen.map((report) => JSON.stringify(report.log))
    expect(again).toBe(first)
    expect(other).not.toBe(first)
    const { a, b } = JSON.parse(seen[0]!.log[0]!.text) as Record<string, Record<string, unknown>>
    expect(a).toMatchObject({
      date: '2026-01-01T00:00:00.000Z',
      later: 'Fri Jan 02 2026 00:00:00 GMT+0000 (Coordinated Universal Time)',
      hours: 12,
      isDate: true,
    })
    expect(a!['chance']).not.toEqual(b!['chance'])
    expect(a!['ids']).not.toEqual(b!['ids'])
  })

  test('leaves nothing of this machine in the report', async () => {
    const report = JSON.stringify(await run('life-cycle', { seed: 3 }))
    expect(report).not.toContain(process.cwd())
    expect(report).not.toContain('file:')
    expect(report).not.toContain(process.version)
    expect(report).toContain('"startedAt":"2026-01-01T00:00:00.000Z"')
  })
})

describe('machines live and end alike', { timeout: 60_000 }, () => {
  test('in threads', async () => {
    const report = await runScenario(await loadScenario(scenario('life-cycle')))
    expect(failures(report)).toEqual([])
    expect(report.error).toBeNull()
  })

  test.each([1, 2])('in virtual time, seed %i', async (seed) => {
    const report = await run('life-cycle', { seed })
    expect(failures(report)).toEqual([])
    expect(report.error).toBeNull()
  })

  test('a machine that is full refuses a guest, and says why, in either engine', async () => {
    const threads = await runScenario(await loadScenario(scenario('small-machine')))
    for (const report of [threads, await run('small-machine')]) {
      expect(failures(report)).toEqual([])
      expect(report.error).toBeNull()
      expect(report.checks.length).toBe(5)
    }
  })

  test('a guest that keeps the processor is ended by its time, and its neighbour goes on', async () => {
    const reports = await Promise.all([run('hang', {}, impatient), run('hang', {}, impatient)])
    for (const report of reports) {
      expect(failures(report)).toEqual([])
      expect(report.error).toBeNull()
    }
    expect(JSON.stringify(reports[1])).toBe(JSON.stringify(reports[0]))
    expect(reports[0].log[0]!.text).toContain('did not poll for 30000 ms')
    expect(reports[0].durationMs).toBeGreaterThan(30_000)
  })
})

describe('a processor that is scheduled', { timeout: 60_000 }, () => {
  test('takes the time that a guest computes', async () => {
    expect(failures(await run('timed'))).toEqual([])
  })

  test.each([1, 2])('is shared by weight within a hundredth, seed %i', async (seed) => {
    const report = await run('shares', { seed })
    expect(failures(report)).toEqual([])
    expect(report.error).toBeNull()
  })
})

test('relay groups with the same stream id do not meet', async () => {
  const report = await run('relays')
  expect(failures(report)).toEqual([])
  expect(report.error).toBeNull()
})

test("modules are each program's own, and no run remembers an earlier one", async () => {
  for (const seed of [1, 2]) {
    const report = await run('modules', { seed })
    expect(failures(report)).toEqual([])
    expect(report.error).toBeNull()
  }
})

describe('an end that nobody wanted', { timeout: 60_000 }, () => {
  test('a deadlock is one clear line: who waits for what', async () => {
    const report = await run('deadlock')
    expect(report.outcome).toBe('failed')
    expect(report.error?.message).toMatch(
      /^deadlock: nothing can ever run again at [\d.]+ \S+: the scenario waits for call of "receive" of reader \(since [\d.]+ \S+\); host is asleep, root is asleep, reader is asleep$/,
    )
    expect(report.vms[0]).toMatchObject({ name: 'reader', state: 'running' })
  })

  test('a limit of virtual time is one too', async () => {
    const report = await run('hang', { timeLimitMs: 20_000 }, impatient)
    expect(report.outcome).toBe('failed')
    expect(report.error?.message).toMatch(/^the limit of virtual time is reached at /)
  })

  test('a scenario that keeps the processor is told so', async () => {
    const kept = run('keeps', {}, impatient)
    await expect(kept).rejects.toThrow(RunHangs)
    await expect(kept).rejects.toThrow('took the processor and did not give it back')
  })

  test('a file that is no scenario is refused as everywhere', async () => {
    await expect(run('none')).rejects.toThrow(InputError)
    await expect(run('none')).rejects.toThrow('no such file')
  })

  test('an interrupted run says so, and closes what it started', async () => {
    const abort = new AbortController()
    const progress = { update() {}, line: () => abort.abort(new Error('interrupted')), end() {} }
    const path = scenario('interrupted')
    const job = { path, seed: 1, costs: {}, trace: null, log: null, timeLimitMs: 1e9 }
    const report = await pool.run(job, { progress, signal: abort.signal })
    expect(report.outcome).toBe('interrupted')
    expect(report.vms[0]?.state).toBe('running')
  })
})

describe('a trace', { timeout: 60_000 }, () => {
  test('counts up, and every cause is an earlier record', async () => {
    const { path } = await traced('life-cycle', 5, 'causes')
    let last = 0
    let lastNs = 0
    let roots = 0
    const kinds = new Set<number>()
    for await (const entry of readTraceFile(path)) {
      if (entry.is !== 'record') continue
      const { id, cause, timeNs, kind } = entry.record
      expect(id).toBe(last + 1)
      expect(cause).toBeLessThan(id)
      expect(timeNs).toBeGreaterThanOrEqual(lastNs)
      if (cause === 0) roots += 1
      kinds.add(kind)
      last = id
      lastNs = timeNs
    }
    expect(kinds.size).toBeGreaterThan(10)
    expect(roots / last).toBeLessThan(0.05)
  })
})

test('costs that are overridden change the figures as declared', async () => {
  const usual = await run('deadlock')
  const slow = await run('deadlock', { costs: { control: 2_000_000 } })
  const started = (report: RunReport) => report.vms[0]!.startMs!
  expect(started(slow) / started(usual)).toBeGreaterThan(50)
  expect(slow.environment).toMatchObject({ engine: 'virtual', costs: { control: 2_000_000 } })
})
