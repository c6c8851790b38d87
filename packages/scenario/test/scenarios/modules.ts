/** Modules remember: each guest's its own, the scenario's its own, and nobody's an earlier run. */

import { defineScenario } from '@guestyard/scenario'

import { next } from '../guests/shared-count.ts'

const guest = { memory: '4 MiB', guest: '../guests/counts.ts' } as const

export default defineScenario({
  vms: { a: guest, b: guest },
  async run({ vms, expect }) {
    await vms.all.started()
    expect(next()).toBe(1)
    for (const vm of vms.all) expect(await vm.call('count')).toEqual([1, 1])
    expect(await vms.a.call('count')).toEqual([2, 2])
  },
})
