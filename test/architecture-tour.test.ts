// The tour of the architecture, in both engines: each box does something, and in virtual time the same each time.

import { afterAll, expect, test } from 'vitest'
import { fileURLToPath } from 'node:url'
import { VirtualPool, loadScenario, runScenario, type RunReport } from '@guestyard/scenario'

const PATH = fileURLToPath(new URL('../scripts/architecture-tour.ts', import.meta.url))
const pool = new VirtualPool({ threads: 1, silenceMs: 10_000 })

afterAll(() => pool.close())

function virtually(seed: number): Promise<RunReport> {
  const job = { path: PATH, seed, costs: {}, trace: null, log: null, timeLimitMs: 600_000 }
  return pool.run(job)
}

test('every box of the architecture has done something, in threads under a scheduler of ours', async () => {
  const report = await runScenario(await loadScenario(PATH))
  expect(report.error).toBeNull()
  expect(report.checks.filter(({ passed }) => !passed)).toEqual([])
  expect(report.checks.length).toBe(14)
})

test('the tour in virtual time shows the same numbers for the same seed', async () => {
  const [first, again] = [await virtually(7), await virtually(7)]
  expect(first.error).toBeNull()
  expect(first.outcome).toBe('passed')
  expect(JSON.stringify(again)).toBe(JSON.stringify(first))
})
