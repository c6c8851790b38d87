/** What programs see of their host, kept in the checks of the report. */

import { defineScenario } from '@guestyard/scenario'

const guest = { memory: '4 MiB', guest: '../guests/host-things.ts' } as const

export default defineScenario({
  vms: { a: guest, b: guest },
  async run({ vms, expect, log }) {
    await vms.all.started()
    const [a, b] = await Promise.all([vms.a.call('look'), vms.b.call('look')])
    log(JSON.stringify({ a, b, scenario: [Date.now(), Math.random()] }))
    const wait = (await vms.a.call('wait')) as { order: string[]; took: number; timeout: string }
    expect(wait.order.join()).toBe('microtask,tick,immediate,interval,five,interval,ten')
    expect(wait.took).toBe(18)
    expect(wait.timeout).toBe('TimeoutError')
    const read = (await vms.b.call('read')) as { order: string[]; found: unknown[]; took: number }
    expect(read.order.join()).toBe('file 0,file 1,file 2,file 3')
    expect(read.found).toEqual([true, true, true, true, 42])
    expect(read.took, 'virtual time that files took').toBe(0)
  },
})
