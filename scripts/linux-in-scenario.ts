// An unmodified Linux and a script guest on one host: what Linux sees of its machine, and a disk that it was given.
//
//   guestyard guest fetch linux
//   guestyard run scripts/linux-in-scenario.ts

import { defineScenario } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

export default defineScenario({
  vms: {
    box: { memory: '128 MiB', linux: {}, disks: [{ memory: '64 MiB' }] },
    other: { memory: '64 MiB' },
  },
  async run({ vms, expect, log }) {
    await vms.all.started()
    const { output } = await vms.box.exec('dmesg | grep -i hyper-v; cat /proc/partitions')
    for (const line of output.trimEnd().split('\n')) log(line)
    expect(output, 'what Linux says').toContain('Hypervisor detected: Microsoft Hyper-V')
    expect(output, 'its disks').toContain(' 65536 sda')
    await vms.all.stop()
  },
})

if (import.meta.main) sayHowToRun('linux-in-scenario')
