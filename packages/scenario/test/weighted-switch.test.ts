// A switch whose capacity is wanted by more than it has room for, in virtual time.

import { fileURLToPath } from 'node:url'

import { afterAll, expect, test } from 'vitest'

import { VirtualPool } from '../src/index.ts'

const path = fileURLToPath(new URL('./scenarios/weighted-switch.ts', import.meta.url))
const pool = new VirtualPool({ threads: 1 })
afterAll(() => pool.close())

test.each([7, 8])(
  'weights 30 and 10 divide a busy switch within a twentieth, with seed %d',
  async (seed) => {
    const job = { path, seed, costs: {}, trace: null, log: null, timeLimitMs: 600_000 }
    const { error, checks } = await pool.run(job)
    expect([error, checks.filter(({ passed }) => !passed), checks.length]).toEqual([null, [], 4])
  },
)
