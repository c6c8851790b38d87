// A stock Linux and its own hv_storvsc over a disk's whole life: a VHDX that comes while it runs is partitioned, gets an ext4 that the
// host made, is written, survives a reboot, is discarded; then drivers let go and come back a hundred times, and the host's tools look
// at what is left. The ext4 comes from the host's mkfs.ext4, since busybox makes none. Minutes, not seconds.
//
//   guestyard guest fetch linux
//   guestyard run scripts/linux-storage.ts

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineScenario } from '@guestyard/scenario'

const CYCLES = 100
/** Of the disk: past the file system, in blocks of 1 MiB. */
const DISCARDED_MIB = 56
const ZEROS = 'dd if=/dev/zero bs=1M count=1 2>/dev/null | sha256sum'
const PATH = `${process.env['PATH']}:/usr/sbin:/sbin`

export default defineScenario({
  vms: { box: { memory: '128 MiB', linux: {} } },
  async run({ vms: { box }, host, expect, log }) {
    const folder = mkdtempSync(join(tmpdir(), 'guestyard-linux-storage-'))
    const said = async (script: string): Promise<string> => {
      const { exitCode, output } = await box.exec(script)
      if (exitCode !== 0) throw new Error(`${script}: exit code ${exitCode}: ${output}`)
      return output.trimEnd()
    }
    const tool = (command: string, ...args: string[]): string => {
      const { status, stdout, error } = spawnSync(command, args, {
        encoding: 'utf8',
        env: { ...process.env, PATH },
      })
      if (error !== undefined) throw new Error(`${command} is not installed`)
      expect(status, `exit code of ${command}`).toBe(0)
      return stdout
    }
    const vhdx = join(folder, 'disk.vhdx')
    const made = join(folder, 'ext4.img')
    try {
      await box.started()
      tool('mkfs.ext4', '-q', made, '40M')
      await box.attachDisk({ vhdx, size: '64 MiB' })
      await said('while [ ! -e /dev/sda ]; do sleep 0.1; done')
      await said("printf 'o\\nn\\np\\n1\\n\\n+48M\\nw\\n' | fdisk /dev/sda >/dev/null 2>&1")
      await said('while [ ! -e /dev/sda1 ]; do sleep 0.1; done')
      const place = await box.attachDisk({ raw: made })
      await said('while [ ! -e /dev/sdb ]; do sleep 0.1; done')
      await said('dd if=/dev/sdb of=/dev/sda1 bs=1M 2>/dev/null && sync')
      await box.detachDisk(place)
      await said('while [ -e /dev/sdb ]; do sleep 0.1; done')
      log('partitioned, with an ext4; the disk that it came from is gone')

      await said('mount -t ext4 /dev/sda1 /mnt && dd if=/dev/urandom of=/mnt/a bs=64k count=64')
      const written = await said('sync; sha256sum </mnt/a; umount /mnt')
      await box.exec('reboot').catch(() => {})
      await said('while [ ! -e /dev/sda1 ]; do sleep 0.1; done')
      const read = await said('mount -t ext4 /dev/sda1 /mnt && sha256sum </mnt/a; umount /mnt')
      expect(read, 'the file after a reboot').toBe(written)
      log('written, and the same after a reboot')

      const at = 'bs=1M count=1 2>/dev/null'
      await said(`dd if=/dev/urandom of=/dev/sda seek=${DISCARDED_MIB} oflag=direct ${at}`)
      await said(`blkdiscard -o ${DISCARDED_MIB * 2 ** 20} -l ${2 ** 20} /dev/sda`)
      const left = await said(`dd if=/dev/sda skip=${DISCARDED_MIB} iflag=direct ${at} | sha256sum`)
      expect(left, 'what was discarded').toBe(await said(ZEROS))
      log('discarded blocks read as zeros')

      const counted = async (): Promise<unknown> => {
        const { partitions } = await host.inspect()
        const { gpadls, channels } = JSON.parse(JSON.stringify(partitions[0]!.vmbus)) as {
          readonly [name: string]: unknown
        }
        return JSON.stringify({ gpadls, channels: (channels as unknown[]).length })
      }
      const cycle = (times: number): Promise<string> =>
        said(
          `cd /sys/bus/vmbus/drivers/hv_storvsc; d=$(ls -d *-*-*); for i in $(seq ${times}); do ` +
            'echo $d >unbind && echo $d >bind || exit 1; ' +
            'rmmod hid_hyperv hyperv_keyboard && insmod /lib/modules/hyperv-keyboard.ko && insmod /lib/modules/hid-hyperv.ko || exit 2; done',
        )
      await cycle(1)
      const before = await counted()
      await cycle(CYCLES)
      expect(await counted(), `channels and GPADLs after ${CYCLES} cycles`).toBe(before)
      await said('while [ ! -e /dev/sda1 ]; do sleep 0.1; done')
      const still = await said('mount -t ext4 /dev/sda1 /mnt && sha256sum </mnt/a; umount /mnt')
      expect(still, 'the file after them').toBe(written)
      log(`${CYCLES} times unbound and bound, unloaded and loaded: nothing is left behind`)

      const start = Number(await said('cat /sys/block/sda/sda1/start')) * 512
      await box.stop()
      tool('qemu-img', 'check', vhdx)
      const raw = join(folder, 'disk.img')
      tool('qemu-img', 'convert', '-O', 'raw', vhdx, raw)
      tool('e2fsck', '-f', '-n', `${raw}?offset=${start}`)
      log('qemu-img and e2fsck find nothing')
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
})
