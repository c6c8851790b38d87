// Four guests whose blocks carry their address and generation, requests of mixed sizes, disks that come and go: in threads, and in
// virtual time, where the same seed gives the same run. scripts/storage-soak.ts does the same for ten minutes, on every format.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'

import { VirtualPool, loadScenario, runScenario, type RunReport } from '@guestyard/scenario'

const PATH = fileURLToPath(new URL('../../scripts/disks.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'guestyard-data-check-'))
const pool = new VirtualPool({ threads: 1, silenceMs: 10_000 })

afterAll(async () => {
  await pool.close()
  rmSync(folder, { recursive: true, force: true })
})

async function virtually(seed: number, as: string): Promise<{ report: RunReport; trace: Buffer }> {
  const trace = join(folder, as)
  const job = { path: PATH, seed, costs: {}, trace, log: null, timeLimitMs: 600_000 }
  return { report: await pool.run(job), trace: readFileSync(trace) }
}

const patient = { timeout: 60_000 }

test('guests find every block as they left it, in threads', patient, async () => {
  const report = await runScenario(await loadScenario(PATH))
  expect(report.error).toBeNull()
  expect(report.checks.filter(({ passed }) => !passed)).toEqual([])
})

test('and in virtual time, where a seed gives the same trace byte for byte', patient, async () => {
  const first = await virtually(7, 'first')
  const again = await virtually(7, 'again')
  expect(first.report.error).toBeNull()
  expect(first.report.outcome).toBe('passed')
  expect(JSON.stringify(again.report)).toBe(JSON.stringify(first.report))
  expect(Buffer.compare(again.trace, first.trace)).toBe(0)
})
