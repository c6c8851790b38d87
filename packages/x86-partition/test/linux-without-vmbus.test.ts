// An unmodified Linux in a machine that has no root: once under a hypervisor that offers no VMBus, once under none that it could find. Skipped, and
// said so, where nobody has fetched the guest.

import { KernelHost, initramfs, linuxBootImage } from '@guestyard/x86-partition'
import { linuxCacheFolder, readManifest, readProcessorModule } from '@guestyard/x86-partition/node'
import { describe, expect, test } from 'vitest'

import { readLinuxGuest } from '../src/node/linux-cache.ts'

const RAM = 128 * 2 ** 20
const POLLS_AT_ONCE = 200
// oxlint-disable-next-line no-control-regex
const PROMPT = /# (?:\u001b\[6n)?$/
const BOOT_PATIENCE_MS = 240_000
const isFetched = readManifest(linuxCacheFolder()) !== null
if (!isFetched) {
  console.log('skipped: no Linux guest in the cache; `guestyard guest fetch linux` gets one')
}

/** Boots to a shell on the console, types, and answers all that was printed until the machine turned itself off. */
async function boot(hypervisorPresent: boolean, typed: string): Promise<string> {
  const files = readLinuxGuest(linuxCacheFolder())
  // The bus's own driver, which is to find that there is none.
  const modules = files.modules.filter(({ file }) => file === 'hv_vmbus.ko')
  const image = linuxBootImage({
    kernel: files.kernel,
    unpacked: files.unpackedKernel,
    initrd: initramfs({ busybox: files.busybox, modules, shell: true, mark: 'x' }),
    commandLine: 'console=ttyS0 quiet panic=-1 random.trust_cpu=on cryptomgr.notests noisapnp',
    ramBytes: RAM,
  })
  let printed = ''
  let isTyped = false
  const host = await KernelHost.create({
    ...{ image, ramBytes: RAM, hypervisorPresent },
    wasm: readProcessorModule(),
    random: () => Math.trunc(performance.now() * 1000),
    onSerialByte: (port, byte) => {
      if (port === 0) printed += String.fromCharCode(byte)
    },
  })
  while (host.end === null) {
    for (let polls = 0; polls < POLLS_AT_ONCE; polls += 1) host.poll()
    // A shell's prompt; its editor may ask the terminal where it is, which nobody answers.
    if (!isTyped && PROMPT.test(printed)) {
      isTyped = true
      host.machine.sendSerial(0, new TextEncoder().encode(typed))
    }
    // Whoever runs the tests is to hear of this thread.
    await new Promise(setImmediate)
  }
  expect(host.end).toEqual({ is: 'powered-off' })
  return printed.replaceAll('\r', '')
}

describe.skipIf(!isFetched)('a stock Linux', { timeout: BOOT_PATIENCE_MS }, () => {
  test('boots under a hypervisor that offers no VMBus, and finds no device on it', async () => {
    const printed = await boot(
      true,
      'dmesg | grep -i hyper; ls /sys/bus/vmbus/devices | wc -l; exit\n',
    )
    expect(printed).toContain('Hypervisor detected: Microsoft Hyper-V')
    expect(printed).toMatch(/\n0\n/)
  })

  test('boots where it sees no hypervisor at all', async () => {
    const typed = 'dmesg | grep -ci hyper-v; grep -c hypervisor /proc/cpuinfo; uname -s; exit\n'
    const printed = await boot(false, typed)
    expect(printed).toMatch(/\n0\n0\nLinux\n/)
  })
})
