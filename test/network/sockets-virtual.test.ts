// HTTP between script guests in virtual time.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { afterAll, expect, test } from 'vitest'

import { VirtualPool } from '@guestyard/scenario'

const PATH = fileURLToPath(new URL('../../scripts/guest-sockets.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'guestyard-sockets-'))
const pool = new VirtualPool({ threads: 2 })

afterAll(async () => {
  await pool.close()
  rmSync(folder, { recursive: true })
})

async function traced(seed: number, as: string): Promise<{ report: string; bytes: Uint8Array }> {
  const trace = join(folder, as)
  const job = { path: PATH, seed, costs: {}, trace, log: null, timeLimitMs: 600_000 }
  const report = await pool.run(job)
  expect(report.checks.filter(({ passed }) => !passed)).toEqual([])
  return { report: JSON.stringify(report), bytes: readFileSync(trace) }
}

test('a page that one guest serves and another fetches is the same, byte for byte of the trace, for the same seed', async () => {
  const [one, again, other] = await Promise.all([traced(7, 'a'), traced(7, 'b'), traced(8, 'c')])
  expect(again.report).toBe(one.report)
  expect(Buffer.compare(again.bytes, one.bytes)).toBe(0)
  expect(Buffer.compare(other.bytes, one.bytes)).not.toBe(0)
})
