// An unmodified Linux in a VM: what it says of its hypervisor, that its own drivers bind to the root's devices, and that whoever owns the VM can
// work in it. One boot for all; skipped, and said so, where nobody has fetched the guest.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startHost, type ExecAnswer, type Host, type Vm } from '@guestyard/management'
import { linuxCacheFolder, readManifest } from '@guestyard/x86-partition/node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const BOOT_PATIENCE_MS = 300_000
const DISK_BYTES = 16 * 2 ** 20
const isFetched = readManifest(linuxCacheFolder()) !== null
if (!isFetched) {
  console.log('skipped: no Linux guest in the cache; `guestyard guest fetch linux` gets one')
}

describe.skipIf(!isFetched)('a stock Linux', { timeout: 120_000 }, () => {
  let host: Host
  let vm: Vm
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'guestyard-linux-disk-'))
    host = await startHost({ log: { level: 'silent' } })
    vm = host.createVm({
      ...{ name: 'linux', memoryBytes: 128 * 2 ** 20, linux: {} },
      disks: [{ memoryBytes: DISK_BYTES }],
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

  test('finds Hyper-V, what it may do, and the reference TSC page for its clock', async () => {
    const log = await run('dmesg')
    expect(log).toContain('Hypervisor detected: Microsoft Hyper-V')
    expect(log).toMatch(/privilege flags low 0xa6f, high 0x30, hints 0xe24, misc 0x[0-9a-f]+/)
    expect(log).toContain('Booting paravirtualized kernel on Hyper-V')
    const clock = await run('cat /sys/devices/system/clocksource/clocksource0/current_clocksource')
    expect(clock).toBe('hyperv_clocksource_tsc_page\n')
  })

  test('complains of nothing', async () => {
    const bad = /WARNING|BUG:|unchecked MSR|Call Trace|does not load|ACPI.*(Error|Warning)/
    const log = await run('dmesg')
    expect(log.split('\n').filter((line) => bad.test(line))).toEqual([])
  })

  test('negotiates the newest VMBus that it knows, and its drivers bind', async () => {
    expect(await run('dmesg')).toContain('hv_vmbus: Vmbus version:5.3')
    const devices = await run(
      'cd /sys/bus/vmbus/devices; for d in *; do echo $(cat $d/class_id) $(basename $(readlink $d/driver)); done',
    )
    expect(devices).toContain('{f912ad6d-2b17-48ea-bd65-f927a61c7684} hyperv_keyboard')
    expect(devices).toContain('{cfa8b69e-5b4a-4cc0-b98b-8ba1a1f3f95a} hid_hyperv')
  })

  test('is told of time by synthetic timers, and of the bus by its vector', async () => {
    const interrupts = await run('cat /proc/interrupts')
    const count = (name: string): number =>
      Number(new RegExp(`^ *${name}: +([0-9]+)`, 'm').exec(interrupts)?.[1])
    expect(count('HVS')).toBeGreaterThan(100)
    expect(count('HYP')).toBeGreaterThan(0)
    expect(count('LOC')).toBe(0)
  })

  test('keys that are typed at the host arrive as its own input events', async () => {
    const events = run('head -c 16 /dev/input/event0 | hexdump -e \'16/1 "%02x"\'')
    // Keys that come before the reader is there are nobody's: pressed until one is read.
    const timer = setInterval(() => void vm.pressKey(0x1e), 100)
    const read = await events.finally(() => clearInterval(timer))
    // struct input_event of a 32-bit kernel: time (8 bytes), type, code, value. MSC_SCAN comes first, with the scan code.
    expect(read).toMatch(/^[0-9a-f]{16}040004001e000000$/)
  })

  test('gives output and exit code of a script, whatever it prints', async () => {
    const { exitCode, output }: ExecAnswer = await vm.exec("printf 'a\\000b\\377'; exit 42")
    expect([exitCode, [...output]]).toEqual([42, [0x61, 0, 0x62, 0xff]])
    const long = await run('seq 1 2000')
    expect(long.split('\n').slice(0, -1)).toEqual(
      Array.from({ length: 2000 }, (_, i) => `${i + 1}`),
    )
  })

  test('reads back what it wrote to a disk through hv_storvsc, past its own cache', async () => {
    expect(await run('cat /sys/block/sda/size /sys/block/sda/device/vendor')).toMatch(
      new RegExp(`^${DISK_BYTES / 512}\\nMsft *\\n$`),
    )
    const sums = await run(
      'dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null; dd if=/tmp/data of=/dev/sda bs=64k oflag=direct 2>/dev/null; sync; sha256sum </tmp/data; dd if=/dev/sda bs=64k count=16 iflag=direct 2>/dev/null | sha256sum',
    )
    const [written, read] = sums.split('\n')
    expect(read).toBe(written)
  })

  test('mounts an ext4 that the host made, and leaves it clean', async (context) => {
    const image = join(folder, 'ext4.img')
    if (spawnSync('mkfs.ext4', ['-q', image, '16M']).status !== 0) {
      context.skip('mkfs.ext4 is not installed (e2fsprogs)')
    }
    const place = await vm.attachDisk({ file: image, format: 'raw' })
    const sum = await run(
      'while [ ! -e /dev/sdb ]; do sleep 0.1; done; mount -t ext4 /dev/sdb /mnt && cp /bin/busybox /mnt/copy && umount /mnt && mount -t ext4 /dev/sdb /mnt && sha256sum </mnt/copy && umount /mnt',
    )
    expect(sum).toBe(await run('sha256sum </bin/busybox'))
    await vm.detachDisk(place)
    await run('while [ -e /dev/sdb ]; do sleep 0.1; done')
    const { status, stdout } = spawnSync('e2fsck', ['-f', '-n', image], { encoding: 'utf8' })
    expect([status, stdout]).toEqual([0, expect.stringContaining('Pass 5')])
  })

  test('takes a disk that grows for what it is, unasked, and discs that come and go', async () => {
    const image = join(folder, 'grows.img')
    const iso = join(folder, 'disc.iso')
    writeFileSync(iso, Buffer.alloc(64 * 2048, 0x37))
    const place = await vm.attachDisk({ file: image, format: 'raw', sizeBytes: 4 * 2 ** 20 })
    await run('while [ ! -e /dev/sdb ]; do sleep 0.1; done')
    await vm.resizeDisk(place, 8 * 2 ** 20)
    await run('while [ $(cat /sys/block/sdb/size) != 16384 ]; do sleep 0.1; done')
    await run('echo end | dd of=/dev/sdb bs=512 seek=16383 conv=sync oflag=direct 2>/dev/null')
    expect(
      readFileSync(image)
        .subarray(16_383 * 512)
        .toString('latin1', 0, 4),
    ).toBe('end\n')
    await vm.detachDisk(place)
    // The drive takes the same place: to a guest that has not looked meanwhile it would still be the disk.
    await run('while [ -e /dev/sdb ]; do sleep 0.1; done')

    const drive = await vm.attachDisk({ device: 'dvd' })
    await run('while [ ! -e /dev/sr0 ]; do sleep 0.1; done; ! head -c 1 /dev/sr0 2>/dev/null')
    await vm.insertDvd(drive, iso)
    expect(await run('dd if=/dev/sr0 bs=2048 skip=63 2>/dev/null | head -c 2')).toBe('77')
    await vm.ejectDvd(drive)
    await run('! head -c 1 /dev/sr0 2>/dev/null')
    await vm.detachDisk(drive)
  })

  test('its integration services bind: it answers heartbeats', async () => {
    const devices = await run('ls /sys/bus/vmbus/drivers/hv_utils | grep -c -')
    expect(Number(devices)).toBeGreaterThanOrEqual(3)
    expect(await vm.heartbeat()).toBe('ok')
  })

  test('lets go of its drivers and takes them again, with no channel left behind', async () => {
    const inspect = async (): Promise<string> => {
      const { partitions } = await host.inspect()
      return JSON.stringify(partitions[0]!.vmbus)
    }
    const cycle = (times: number): Promise<string> =>
      run(
        `for i in $(seq ${times}); do rmmod hid_hyperv hyperv_keyboard && insmod /lib/modules/hyperv-keyboard.ko && insmod /lib/modules/hid-hyperv.ko || exit 1; done`,
      )
    await cycle(1)
    const before = JSON.parse(await inspect()) as Record<string, unknown>
    await cycle(3)
    const after = JSON.parse(await inspect()) as Record<string, unknown>
    expect(after['gpadls']).toEqual(before['gpadls'])
    expect(after['channels']).toEqual(before['channels'])
  })

  test('turns itself off when its shutdown service is told to', async () => {
    await vm.stop()
    expect([vm.state, vm.lastExit?.reason]).toEqual(['off', 'stopped'])
  })
})
