import { isMainThread } from 'node:worker_threads'

import { defineScenario } from '@guestyard/scenario'

/** Loads on the main thread only. */
if (!isMainThread) throw new Error('not on this thread')

export default defineScenario({
  vms: { db: { memory: '16 MiB' } },
  async run({ vms }) {
    await vms.all.started()
  },
})
