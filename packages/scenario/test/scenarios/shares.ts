/** One logical processor, three guests that want all of it, and one that rests. */

import { setTimeout as sleep } from 'node:timers/promises'

import { defineScenario } from '@guestyard/scenario'

const guest = { memory: '4 MiB', guest: '../guests/burner.ts' } as const
const WEIGHTS = { a: 100, b: 200, c: 700 } as const

export default defineScenario({
  host: { logicalProcessors: 1, scheduler: 'classic' },
  vms: {
    a: { ...guest, weight: WEIGHTS.a },
    b: { ...guest, weight: WEIGHTS.b },
    c: { ...guest, weight: WEIGHTS.c },
  },
  async run({ vms, expect }) {
    await vms.all.started()
    const used = (): Promise<number[]> =>
      Promise.all([vms.a, vms.b, vms.c].map(async (vm) => Number(await vm.call('used'))))
    await sleep(200)
    const before = await used()
    await sleep(4_000)
    const after = await used()
    const grown = after.map((microseconds, index) => microseconds - before[index]!)
    const total = grown.reduce((sum, one) => sum + one, 0)
    const shares = grown.map((one) => one / total)
    for (const [index, weight] of Object.values(WEIGHTS).entries()) {
      expect(Math.abs(shares[index]! - weight / 1000), `share ${index}`).toBeLessThan(0.01)
    }
    expect(total, 'microseconds of four seconds that guests computed').toBeGreaterThan(3_600_000)
  },
})
