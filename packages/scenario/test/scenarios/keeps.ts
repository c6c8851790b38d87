/** The scenario itself keeps the processor. */

import { defineScenario } from '@guestyard/scenario'

export default defineScenario({
  vms: { a: { memory: '4 MiB' } },
  async run({ vms }) {
    await vms.all.started()
    for (;;);
  },
})
