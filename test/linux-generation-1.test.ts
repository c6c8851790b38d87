// A stock Linux on a machine of generation 1: firmware, PCI and an emulated IDE disk, and beside them the bus with a SCSI disk, by the same kernel.
// One boot for all; skipped, and said so, where nobody has fetched the guest.

import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startHost, type Host, type Vm } from '@guestyard/management'
import { linuxCacheFolder, readManifest } from '@guestyard/x86-partition/node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const BOOT_PATIENCE_MS = 300_000
const DISK_BYTES = 16 * 2 ** 20
const isFetched = readManifest(linuxCacheFolder()) !== null
if (!isFetched) {
  console.log('skipped: no Linux guest in the cache; `guestyard guest fetch linux` gets one')
}

describe.skipIf(!isFetched)('a stock Linux on generation 1', { timeout: 120_000 }, () => {
  let host: Host
  let vm: Vm
  let folder: string
  let image: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'guestyard-generation-1-'))
    image = join(folder, 'ide.img')
    writeFileSync(image, '')
    truncateSync(image, DISK_BYTES)
    host = await startHost({ log: { level: 'silent' } })
    vm = host.createVm({
      ...{ name: 'linux', memoryBytes: 128 * 2 ** 20, linux: { generation: 1 } },
      disks: [
        { file: image, format: 'raw', controllerType: 'ide' },
        { memoryBytes: DISK_BYTES, controllerType: 'scsi' },
      ],
    })
    await vm.start()
  }, BOOT_PATIENCE_MS)
  afterAll(async () => {
    await host.close()
    rmSync(folder, { recursive: true })
  })

  const run = async (script: string): Promise<string> => {
    const { exitCode, output } = await vm.exec(script)
    const text = new TextDecoder().decode(output)
    if (exitCode !== 0) throw new Error(`exit code ${exitCode}: ${text}`)
    return text
  }

  test('has a firmware, PCI and its emulated disk, and finds the hypervisor and its bus all the same', async () => {
    const log = await run('dmesg')
    expect(log).toContain('DMI: Bochs')
    expect(log).toMatch(/PCI Root Bridge/)
    expect(log).toMatch(/ata1\.00: .*v86 ATA HD/)
    expect(log).toContain('Hypervisor detected: Microsoft Hyper-V')
    expect(log).toContain('hv_vmbus: Vmbus version:5.3')
    expect(log.split('\n').filter((line) => /WARNING|BUG:|unchecked MSR/.test(line))).toEqual([])
  })

  test('has one disk by IDE and one over the bus, which differ by their drivers alone', async () => {
    const disks = await run(
      'for d in /sys/block/sd?; do echo $(cat $d/size) $(basename $(readlink $d/device/../../../driver) 2>/dev/null) $(cat $d/device/vendor); done | sort',
    )
    const sizes = disks.trim().split('\n')
    expect(sizes.map((line) => line.split(' ')[0])).toEqual(
      [DISK_BYTES, DISK_BYTES].map((bytes) => `${bytes / 512}`),
    )
    expect(disks).toMatch(/ATA/)
    expect(disks).toMatch(/Msft/)
  })

  test('what it writes through the emulated controller is in the image, and what it reads is from there', async () => {
    const sums = await run(
      'for d in /sys/block/sd?; do grep -q ATA $d/device/vendor && disk=/dev/$(basename $d); done; ' +
        'dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null; dd if=/tmp/data of=$disk bs=64k seek=4 oflag=direct 2>/dev/null; sync; ' +
        'sha256sum </tmp/data; dd if=$disk bs=64k skip=4 count=16 iflag=direct 2>/dev/null | sha256sum; base64 -w 0 /tmp/data | head -c 64',
    )
    const [written, read, head] = sums.split('\n')
    expect(read).toBe(written)
    const kept = readFileSync(image).subarray(4 * 65_536, 20 * 65_536)
    expect(kept.toString('base64').slice(0, 64)).toBe(head)
  })

  test('turns its machine off when it is told to, and its image is free then', async () => {
    await vm.stop()
    expect((await vm.exit).reason).toBe('stopped')
    const again = host.createVm({ name: 'again', disks: [{ file: image, format: 'raw' }] })
    await again.start()
    await again.turnOff()
  })
})
