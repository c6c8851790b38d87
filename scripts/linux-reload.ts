// A stock Linux that lets go of its Hyper-V drivers and takes them again, a hundred times: keyboard, HID, network, storage, integration services.
// Afterwards as many channels and GPADLs are open as before, and a disk and an adapter work.
//
//   guestyard guest fetch linux
//   guestyard run scripts/linux-reload.ts

import { defineScenario } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

const ROUNDS = 100
const AT_A_TIME = 10
const MODULES = ['hid-hyperv', 'hyperv-keyboard', 'hv_netvsc', 'hv_storvsc', 'hv_utils']
const SUM = 'dd if=/dev/sda bs=64k count=16 iflag=direct 2>/dev/null | sha256sum'

export default defineScenario({
  vms: {
    box: { memory: '128 MiB', linux: {}, disks: [{ memory: '16 MiB' }], nics: [{ switch: 'lan' }] },
  },
  async run({ vms, host, expect, log }) {
    const { box } = vms
    const sh = async (script: string): Promise<string> => {
      const { exitCode, output } = await box.exec(script)
      if (exitCode !== 0) throw new Error(`${script}: exit code ${exitCode}: ${output.trim()}`)
      return output.trim()
    }
    const round = MODULES.map(
      (name) => `rmmod ${name.replace('-', '_')} && insmod /lib/modules/${name}.ko || exit 1`,
    ).join('; ')
    const reload = (times: number): Promise<string> =>
      sh(
        `for i in $(seq ${times}); do ${round}; done; while [ ! -e /dev/sda ] || [ ! -e /sys/class/net/eth0 ]; do sleep 0.1; done`,
      )
    const open = async (): Promise<unknown> => {
      const { partitions } = await host.inspect()
      const { channels, gpadls } = partitions[0]!.vmbus
      const states = channels.map(({ state }) => state).toSorted()
      return JSON.stringify({ states, gpadls })
    }
    await vms.all.started()
    await sh('dd if=/dev/urandom of=/dev/sda bs=64k count=16 oflag=direct 2>/dev/null')
    const sum = await sh(SUM)
    await reload(1)
    const before = await open()
    for (let done = 0; done < ROUNDS; done += AT_A_TIME) {
      await reload(AT_A_TIME)
      log(`${done + AT_A_TIME} of ${ROUNDS}`)
    }
    expect(String(await open()), 'channels and GPADLs').toBe(String(before))
    expect(await sh(SUM), 'SHA-256 of the disk').toBe(sum)
    expect(await sh('dmesg | grep -ciE "WARNING|BUG:|Call Trace" || true'), 'complaints').toBe('0')
    await vms.all.stop()
  },
})

if (import.meta.main) sayHowToRun('linux-reload')
