/** A guest that takes the processor and keeps it, beside one that does not. */

import { defineScenario } from '@guestyard/scenario'

export default defineScenario({
  vms: {
    good: { memory: '4 MiB', guest: '../guests/many-lives.ts' },
    bad: { memory: '4 MiB', guest: '../guests/never-answers.ts' },
  },
  async run({ vms, expect, log }) {
    await vms.all.started()
    const call = vms.bad.call('spin').catch((error: unknown) => (error as Error).message)
    const exit = await vms.bad.exit
    log(`${exit.reason} at ${performance.now()}: ${exit.detail}`)
    expect(exit.reason).toBe('not-responding')
    expect(await call).toContain('not-responding')
    expect(await vms.good.call('double', 4)).toBe(8)
  },
})
