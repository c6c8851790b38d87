// The scenario of both controllers, in both engines: one program, one of its IDE disks throttled, and in virtual time the same each time.

import { afterAll, expect, test } from 'vitest'
import { fileURLToPath } from 'node:url'
import { VirtualPool, loadScenario, runScenario, type RunReport } from '@guestyard/scenario'

const PATH = fileURLToPath(new URL('../../scripts/ide-disks.ts', import.meta.url))
const pool = new VirtualPool({ threads: 1, silenceMs: 10_000 })

afterAll(() => pool.close())

function virtually(seed: number): Promise<RunReport> {
  const job = { path: PATH, seed, costs: {}, trace: null, log: null, timeLimitMs: 600_000 }
  return pool.run(job)
}

test('one program finds every block as it left it, behind either controller', async () => {
  const report = await runScenario(await loadScenario(PATH))
  expect([report.error, report.outcome]).toEqual([null, 'passed'])
})

test('so it does in virtual time, and the same seed gives the same run', async () => {
  const [first, again] = [await virtually(7), await virtually(7)]
  expect([first.error, first.outcome]).toEqual([null, 'passed'])
  expect(JSON.stringify(again)).toBe(JSON.stringify(first))
})
