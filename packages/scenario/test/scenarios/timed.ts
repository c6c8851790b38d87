/** A millisecond of computing on a processor of one's own. */

import { defineScenario } from '@guestyard/scenario'

export default defineScenario({
  vms: { a: { memory: '4 MiB', guest: '../guests/burner.ts', args: 'rests' } },
  async run({ vms, expect }) {
    await vms.all.started()
    const ms = await vms.a.call('timed')
    expect(ms).toBeAtLeast(1)
    expect(ms).toBeLessThan(1.1)
  },
})
