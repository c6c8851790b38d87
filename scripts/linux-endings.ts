// How a Linux guest ends, each way once: turned off from within, and a panic, which its neighbour does not notice. A reset is no end: the
// machine boots again with the disks that it had. A boot for each: minutes, not seconds.
//
//   guestyard guest fetch linux
//   guestyard run scripts/linux-endings.ts

import { defineScenario } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

const BOOT_ID = 'cat /proc/sys/kernel/random/boot_id'
const FIRST_MIB = 'dd if=/dev/sda bs=64k count=16 iflag=direct 2>/dev/null | sha256sum'

export default defineScenario({
  vms: {
    box: { memory: '128 MiB', linux: {}, disks: [{ memory: '16 MiB' }] },
    beside: { memory: '128 MiB', linux: {} },
  },
  async run({ vms: { box, beside }, expect, log }) {
    const said = async (script: string): Promise<string> => (await box.exec(script)).output
    // The script never comes to its own end.
    const last = (script: string): Promise<unknown> => box.exec(script).catch(() => {})
    await Promise.all([box.started(), beside.started()])

    const first = await said(BOOT_ID)
    await said('dd if=/dev/urandom of=/dev/sda bs=64k count=16 oflag=direct 2>/dev/null')
    const written = await said(FIRST_MIB)
    await last('reboot')
    expect((await said(BOOT_ID)) === first, 'it is the boot from before').toBe(false)
    expect(await said(FIRST_MIB), 'what is on its disk').toBe(written)
    log('reset: it boots again, with its disk')

    await last('echo c >/proc/sysrq-trigger')
    const panic = await box.exit
    expect(panic.reason, 'panic').toBe('threw')
    expect(panic.detail, 'what is said of the panic').toContain('Kernel panic')
    expect(panic.crash?.message ?? '', 'its crash report').toContain('sysrq: Trigger a crash')
    expect(await beside.heartbeat(), 'its neighbour').toBe('ok')
    log(`panic: ${panic.detail}`)

    await box.restart()
    await last('poweroff')
    expect((await box.exit).reason, 'off').toBe('exited')
  },
})

if (import.meta.main) sayHowToRun('linux-endings')
