// An unmodified Linux in virtual time, with everything in the picture whose timing or chance could differ: its own random numbers, a file system on
// a disk of the bus, keys, an hour of sleep, and another guest. What it leaves is the same whenever and wherever the seed is the same.
//
//   guestyard guest fetch linux
//   guestyard run scripts/linux-repeat.ts --engine virtual --seed 7 --time-limit 3h

import { createHash } from 'node:crypto'
import { defineScenario } from '@guestyard/scenario'

const MAKE_CODE_A = 0x1e
const BREAK = 1
const HOUR = 3600

const SCRIPT = `
date
head -c 16 /dev/urandom | md5sum
cat /proc/sys/kernel/random/boot_id
mke2fs /dev/sda > /dev/null 2>&1 && mkdir -p /mnt && mount -t ext4 /dev/sda /mnt && echo mounted
head -c 4000000 /dev/urandom > /mnt/file && sync && md5sum /mnt/file
umount /mnt && md5sum /dev/sda
`

export default defineScenario({
  vms: {
    box: { memory: '128 MiB', linux: { append: 'ignore_loglevel' }, disks: [{ memory: '16 MiB' }] },
    other: { memory: '64 MiB' },
  },
  async run({ vms, expect, log }) {
    await vms.all.started()
    const said = async (script: string): Promise<string> => {
      const { output } = await vms.box.exec(script)
      for (const line of output.trimEnd().split('\n')) log(line)
      return output
    }
    expect(await said(SCRIPT), 'its file system').toContain('mounted')
    await vms.box.pressKey(MAKE_CODE_A)
    await vms.box.pressKey(MAKE_CODE_A, BREAK)
    const slept = await said(`cut -d. -f1 /proc/uptime; sleep ${HOUR}; cut -d. -f1 /proc/uptime`)
    const [before = NaN, after = NaN] = slept.split('\n').map(Number)
    expect(after - before >= HOUR && after - before <= HOUR + 1, 'an hour passed').toBe(true)
    await said('cat /proc/interrupts; dmesg | tail -n 20')
    const { machine } = (await vms.box.inspect()) as { readonly machine: object }
    log(`counters ${JSON.stringify(machine)}`)
    const console = (await vms.box.call('console-read')) as Uint8Array
    expect(console.length > 1000, 'the kernel spoke on its console').toBe(true)
    log(`console ${createHash('sha256').update(console).digest('hex')}`)
    log(`memory ${String(await vms.box.call('memory-digest'))}`)
    await vms.all.stop()
  },
})
