/** A reader that waits for a stream which nobody sends. */

import { defineScenario } from '@guestyard/scenario'

export default defineScenario({
  vms: { reader: { memory: '8 MiB', guest: '../guests/many-lives.ts', args: 'receives' } },
  async run({ vms }) {
    await vms.all.started()
    await vms.reader.call('receive')
  },
})
