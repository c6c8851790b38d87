// An unmodified Linux in a VM: what it says of its hypervisor, that its own drivers bind to the root's devices, and that whoever owns the VM can
// work in it. One boot for all; skipped, and said so, where nobody has fetched the guest.

import { startHost, type ExecAnswer, type Host, type Vm } from '@guestyard/management'
import { linuxCacheFolder, readManifest } from '@guestyard/x86-partition/node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const BOOT_PATIENCE_MS = 300_000
const isFetched = readManifest(linuxCacheFolder()) !== null
if (!isFetched) {
  console.log('skipped: no Linux guest in the cache; `guestyard guest fetch linux` gets one')
}

describe.skipIf(!isFetched)('a stock Linux', { timeout: 60_000 }, () => {
  let host: Host
  let vm: Vm

  beforeAll(async () => {
    host = await startHost({ log: { level: 'silent' } })
    vm = host.createVm({ name: 'linux', memoryBytes: 128 * 2 ** 20, linux: {} })
    await vm.start()
  }, BOOT_PATIENCE_MS)
  afterAll(() => host.close())

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
    const long = await run('seq 1 20000')
    expect(long.split('\n').slice(0, -1)).toEqual(
      Array.from({ length: 20_000 }, (_, i) => `${i + 1}`),
    )
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

  test('a panic ends its machine, and says so', async () => {
    await expect(vm.exec('echo c >/proc/sysrq-trigger')).rejects.toThrow('reset its machine')
    const exit = await vm.exit
    expect([vm.state, exit.reason]).toEqual(['failed', 'threw'])
    expect(exit.detail).toContain('Kernel panic')
  })
})
