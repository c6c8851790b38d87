// A whole Linux machine, saved in one partition and gone on with in another.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { VirtualPool, loadScenario, runScenario, type RunReport } from '@guestyard/scenario'
import { linuxCacheFolder } from '@guestyard/x86-partition/node'
import { afterAll, describe, expect, test } from 'vitest'

const path = fileURLToPath(new URL('scenarios/saved-linux.ts', import.meta.url))
const isFetched = existsSync(join(linuxCacheFolder(), 'manifest.json'))
const pool = new VirtualPool({ threads: 1, silenceMs: 60_000 })

afterAll(() => pool.close())

function expectWhole(report: RunReport): void {
  expect(report.error).toBeNull()
  const failed = report.checks.filter((check) => !check.passed)
  expect(failed.map(({ name, actual, bound }) => `${name}: ${actual} is not ${bound}`)).toEqual([])
  expect(report.checks.length).toBeGreaterThan(8)
}

describe.skipIf(!isFetched)('a Linux that is saved while it reads its disk', () => {
  test('reads on, and sums up the same, in virtual time', { timeout: 300_000 }, async () => {
    const job = { path, seed: 1, costs: {}, trace: null, log: null, timeLimitMs: 600_000 }
    expectWhole(await pool.run(job))
  })

  test('and on threads', { timeout: 300_000 }, async () => {
    expectWhole(await runScenario(await loadScenario(path)))
  })
})
