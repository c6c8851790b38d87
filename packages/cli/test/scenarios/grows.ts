// A machine that is given more RAM while a load runs through it, and then uses it.

import { defineScenario } from '@guestyard/scenario'

const MIB = 1024 * 1024
const LARGE = {
  direction: 'echo',
  ring: '1 MiB',
  packets: 200,
  repeats: 1,
  warmUp: '0 ms',
} as const

export default defineScenario({
  vms: { one: { memory: { startup: '2 MiB', maximum: '16 MiB' } } },
  async run({ vms, load, expect, log }) {
    await vms.one.started()
    const free = async (): Promise<number> =>
      ((await vms.one.inspect()) as { readonly pagesFree: number }).pagesFree
    const before = await free()
    const running = load.channel(vms.one, { ...LARGE, ring: '64 KiB', waiting: 'event-loop' })
    expect(await vms.one.addMemory('2 MiB'), 'RAM after the first time').toBe(4 * MIB)
    expect(await vms.one.addMemory(4 * MIB), 'RAM after the second').toBe(8 * MIB)
    const report = await running
    expect(report.sequenceErrors, 'errors while RAM was added').toBe(0)
    expect(await free(), 'pages that the guest has').toBe(before + (6 * MIB) / 4096)
    await load.channel(vms.one, LARGE)
    log('rings of a megabyte each fit now')
  },
})
