// How a Linux guest ends, each way once: turned off from within, reset, a panic. A boot for each: minutes, not seconds.
//
//   guestyard guest fetch linux
//   guestyard run scripts/linux-endings.ts

import { defineScenario } from '@guestyard/scenario'

export default defineScenario({
  vms: { box: { memory: '128 MiB', linux: {} } },
  async run({ vms: { box }, expect, log }) {
    const endings = [
      { script: 'poweroff -f', reason: 'exited', detail: 'came to its end' },
      { script: 'reboot -f', reason: 'threw', detail: 'reset its machine' },
      { script: 'echo c >/proc/sysrq-trigger', reason: 'threw', detail: 'Kernel panic' },
    ]
    await box.started()
    for (const [index, { script, reason, detail }] of endings.entries()) {
      if (index > 0) await box.restart()
      // The script never comes to its own end.
      await box.exec(script).catch(() => {})
      const exit = await box.exit
      log(`${script}: ${exit.reason}`)
      expect(exit.reason, script).toBe(reason)
      expect(exit.detail, `what is said of ${script}`).toContain(detail)
    }
  },
})
