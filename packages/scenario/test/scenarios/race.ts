/** A mistake that shows in some interleavings only: two guests, and a check that believes in an order. */

import { defineScenario } from '@guestyard/scenario'

const guest = { memory: '4 MiB', guest: '../guests/many-lives.ts' } as const

export default defineScenario({
  vms: { a: guest, b: guest },
  async run({ vms, expect }) {
    await vms.all.started()
    const answered: number[] = []
    const ask = async (vm: (typeof vms)['a'], data: number): Promise<void> => {
      answered.push(Number(await vm.call('double', data)))
    }
    await Promise.all([ask(vms.a, 1), ask(vms.b, 2)])
    expect(answered, 'answers in the order of asking').toEqual([2, 4])
  },
})
