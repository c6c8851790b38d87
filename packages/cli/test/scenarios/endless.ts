import { defineScenario } from '@guestyard/scenario'

/** Never ends by itself: two guests under load until somebody interrupts it. */
export default defineScenario({
  vms: { a: { memory: '16 MiB' }, b: { memory: '16 MiB' } },
  async run({ vms, load, log }) {
    await vms.all.started()
    log('under load')
    await load.channel(vms.all.list, { duration: '10 min' })
  },
})
