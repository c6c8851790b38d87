/** Two pairs of guests that use one stream id, each in a relay group, and a fifth that relays nothing. */

import { defineScenario } from '@guestyard/scenario'

const guest = { memory: '8 MiB', guest: '../../../management/test/guests/relays.ts' } as const
const receiver = { ...guest, args: null }

export default defineScenario({
  vms: {
    outsider: { ...receiver, relay: false },
    spy: { ...receiver, relay: 'spies' },
    reader: receiver,
    writer: { ...guest, args: 1 },
    confidant: { ...guest, args: 2, relay: 'spies' },
  },
  async run({ vms, expect }) {
    const receivers = [vms.outsider, vms.spy, vms.reader]
    await vms.all.started()
    const reports = await Promise.all(receivers.map((vm) => vm.call('received')))
    expect(reports, 'what each received').toEqual(['refused', [2], [1]])
  },
})
