// Two machines that want more of a switch than it has, and what each got in half a second.

import { defineScenario } from '@guestyard/scenario'

const TO = '00:15:5d:00:00:63'
const SETTLE_MS = 100
const MEASURED_MS = 500
const guest = '../guests/frame-flood.ts'

export default defineScenario({
  switches: { lan: { capacityBitsPerSecond: 40_000_000 } },
  vms: {
    heavy: { memory: '8 MiB', guest, nics: [{ switch: 'lan', weight: 30 }] },
    light: { memory: '8 MiB', guest, nics: [{ switch: 'lan', weight: 10 }] },
    sink: { memory: '8 MiB', guest, nics: [{ switch: 'lan', address: TO }] },
  },
  async run({ vms, host, expect }) {
    await vms.all.started()
    const sent = async (): Promise<number[]> => {
      const { switches } = await host.inspect()
      return switches[0]!.ports.map(({ sentBytes }) => sentBytes)
    }
    for (const vm of [vms.heavy, vms.light]) await vm.call('flood', TO)
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
    const before = await sent()
    await new Promise((resolve) => setTimeout(resolve, MEASURED_MS))
    const got = (await sent()).map((bytes, port) => bytes - before[port]!).toSorted((a, b) => b - a)
    expect(got[0]! / got[1]!, 'heavy to light').toBeGreaterThan(3 * 0.95)
    expect(got[0]! / got[1]!, 'heavy to light').toBeLessThan(3 * 1.05)
    expect((got[0]! + got[1]!) / 2_500_000, 'of the capacity').toBeGreaterThan(0.95)
    expect((got[0]! + got[1]!) / 2_500_000, 'of the capacity').toBeLessThan(1.05)
    await vms.all.stop()
  },
})
