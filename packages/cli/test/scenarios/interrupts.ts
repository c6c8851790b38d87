import { isMainThread } from 'node:worker_threads'

import { defineScenario } from '@guestyard/scenario'

/** Interrupts the process as soon as the command has taken hold of signals, and gives its own thread nothing to answer with. */
if (isMainThread) {
  process.once('newListener', () => setImmediate(() => process.kill(process.pid, 'SIGINT')))
} else {
  await new Promise(() => {})
}

export default defineScenario({
  vms: { db: { memory: '16 MiB' } },
  async run({ vms }) {
    await vms.all.started()
  },
})
