// Discs that are changed and disks that grow while their guests run, in both engines.

import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'

import { VirtualPool, loadScenario, runScenario, type RunReport } from '@guestyard/scenario'

const path = fileURLToPath(new URL('scenarios/media.ts', import.meta.url))
const pool = new VirtualPool({ threads: 1, silenceMs: 2_000 })

afterAll(() => pool.close())

function allHold(report: RunReport): void {
  const failed = report.checks.filter((check) => !check.passed)
  expect(failed.map(({ name, actual, bound }) => `${name}: ${actual} is not ${bound}`)).toEqual([])
  expect(report.error).toBeNull()
  expect(report.checks.length).toBeGreaterThan(20)
}

describe('a guest sees discs come and go, and disks grow', { timeout: 30_000 }, () => {
  test('in threads', async () => {
    allHold(await runScenario(await loadScenario(path)))
  })

  test.each([1, 2])('in virtual time, seed %i', async (seed) => {
    const job = { path, seed, costs: {}, trace: null, log: null, timeLimitMs: 600_000 }
    allHold(await pool.run(job))
  })
})
