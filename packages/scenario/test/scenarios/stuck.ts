/** Asks the real world for what it never answers. */

import { defineScenario } from '@guestyard/scenario'

export default defineScenario({
  vms: { a: { memory: '4 MiB', guest: '../guests/edges.ts' } },
  async run({ vms, log }) {
    await vms.all.started()
    log('asks')
    await vms.a.call('stuck')
  },
})
