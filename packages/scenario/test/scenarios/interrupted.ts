/** Goes on for as long as it is let. */

import { setTimeout as sleep } from 'node:timers/promises'

import { defineScenario } from '@guestyard/scenario'

export default defineScenario({
  vms: { one: { memory: '4 MiB' } },
  async run({ vms, log, signal }) {
    await vms.all.started()
    log('up')
    while (!signal.aborted) await sleep(1000)
  },
})
