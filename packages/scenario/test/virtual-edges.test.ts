// What once hung a run in virtual time, or let something of its thread or its host into it.

import { fileURLToPath } from 'node:url'

import { afterAll, describe, expect, test } from 'vitest'

import { VirtualPool } from '../src/index.ts'
import type { RunReport } from '../src/index.ts'

const pool = new VirtualPool({ threads: 1, silenceMs: 1_000 })

afterAll(() => pool.close())

function jobOf(name: string, seed = 1) {
  const path = fileURLToPath(new URL(`./scenarios/${name}.ts`, import.meta.url))
  return { path, seed, costs: {}, trace: null, log: null, timeLimitMs: 600_000 }
}

function failures(report: RunReport): string[] {
  const failed = report.checks.filter((check) => !check.passed)
  return failed.map((check) => `${check.name}: ${check.actual} is not ${check.bound}`)
}

describe('a run', { timeout: 60_000 }, () => {
  test('goes on after jobs that answer at once, and holds time for those that do not', async () => {
    const report = await pool.run(jobOf('edges'))
    expect(report.error).toBeNull()
    expect(failures(report)).toEqual([])
  })

  test('finds nothing of a run before it, and draws chance from its seed alone', async () => {
    const [first, again, other] = [
      await pool.run(jobOf('edges', 3)),
      await pool.run(jobOf('edges', 3)),
      await pool.run(jobOf('edges', 4)),
    ]
    expect(JSON.stringify(again)).toBe(JSON.stringify(first))
    expect(other.log[0]?.text).not.toBe(first.log[0]?.text)
    const { leaks, chance } = JSON.parse(first.log[0]!.text) as Record<string, unknown>
    expect(leaks).toEqual([1, 'edges.ts?yard=2'])
    const { part, int } = chance as { part: number[]; int: number }
    expect([part.slice(0, 2), part.slice(5)]).toEqual([
      [0, 0],
      [0, 0, 0],
    ])
    expect(int).toBeGreaterThanOrEqual(5)
    expect(int).toBeLessThan(9)
  })

  test('fails when the real world never answers, and says what it waits for', async () => {
    const report = await pool.run(jobOf('stuck'))
    expect(report.outcome).toBe('failed')
    expect(report.error?.message).toBe(
      'virtual time stood for 3 s of real time, waiting for NEVERREQUEST',
    )
  })

  test('can be interrupted while it waits for the real world', async () => {
    const abort = new AbortController()
    const progress = { update() {}, line: () => abort.abort(new Error('interrupted')), end() {} }
    const report = await pool.run(jobOf('stuck'), { progress, signal: abort.signal })
    expect(report.outcome).toBe('interrupted')
  })
})
