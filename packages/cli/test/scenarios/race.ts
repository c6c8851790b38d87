/** Believes that two guests answer in the order in which they were asked. */

import { defineScenario } from '@guestyard/scenario'

const guest = { memory: '4 MiB', guest: '../guests/answers.ts' } as const

export default defineScenario({
  vms: { a: guest, b: guest },
  async run({ vms, expect }) {
    await vms.all.started()
    const answers: unknown[] = []
    const ask = async (vm: (typeof vms)['a']): Promise<void> => {
      answers.push(await vm.call('name'))
    }
    await Promise.all([ask(vms.a), ask(vms.b)])
    expect(answers, 'answers').toEqual(['a', 'b'])
  },
})
