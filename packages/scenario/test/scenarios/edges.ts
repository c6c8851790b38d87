/** The edges of virtual time: each check is one that failed once. */

import { defineScenario } from '@guestyard/scenario'

const guest = { memory: '4 MiB', guest: '../guests/edges.ts' } as const

export default defineScenario({
  vms: { a: guest },
  async run({ vms, expect, log }) {
    await vms.all.started()
    log(JSON.stringify({ chance: await vms.a.call('chance'), leaks: await vms.a.call('leaks') }))
    expect(await vms.a.call('jobs'), 'jobs').toEqual({ took: 0, sizes: [16, 32] })
    expect(await vms.a.call('files'), 'files').toEqual(['read', 'stat'])
    const waits = (await vms.a.call('waits')) as Record<string, unknown>
    expect(waits['how'], 'how a wait ends').toBe('timed-out')
    expect(Math.floor(waits['took'] as number), 'how long it took').toBe(20)
    expect(waits['compiled'], 'virtual time that a compiler took').toBe(0)
    const thread = vms.a.call('thread').catch(String)
    expect(String(await thread).includes('new Worker is refused'), 'a thread').toBe(true)
  },
})
