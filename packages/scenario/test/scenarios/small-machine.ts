/** A machine with memory for one guest and not for two: the same in both engines. */

import { defineScenario } from '@guestyard/scenario'

export default defineScenario({
  host: { memory: '32 MiB' },
  vms: { fits: { memory: '16 MiB' }, late: { memory: '24 MiB' } },
  async run({ vms, host, expect }) {
    const starts = await Promise.allSettled([vms.fits.started(), vms.late.started()])
    const refused = starts.flatMap((start) => (start.status === 'rejected' ? [start.reason] : []))
    expect(refused.length, 'guests refused').toBe(1)
    expect(String(refused[0]).includes('INSUFFICIENT_MEMORY'), 'and told why').toBe(true)

    const { hypervisor, partitions } = await host.inspect()
    const [partition] = hypervisor.memory.partitions
    expect(partitions.length, 'partitions').toBe(1)
    expect(hypervisor.memory.pageCount, 'pages of the machine').toBe(8192)
    const held = (partition?.ramPages ?? 0) + (partition?.deposited ?? 0)
    expect(hypervisor.memory.freePages, 'pages that are free').toBe(
      8192 - held - hypervisor.memory.rootPages,
    )
  },
})
