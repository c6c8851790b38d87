import { defineScenario } from '@guestyard/scenario'

/** Fails by a mistake of its own, on line 7. */
export default defineScenario({
  vms: { db: { memory: '16 MiB' } },
  run() {
    throw new TypeError('my own mistake')
  },
})
