/** Every way in which a machine starts, answers and ends. Both engines must say the same of it. */

import { setTimeout as sleep } from 'node:timers/promises'

import { defineScenario } from '@guestyard/scenario'
import type { VmDefinition, VmHandle } from '@guestyard/scenario'

const guest = (args: string): VmDefinition => ({
  memory: '8 MiB',
  guest: '../guests/many-lives.ts',
  args,
})

async function refusal(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'nothing',
    (error: unknown) => (error as Error).message,
  )
}

/** Presses a key as soon as its keyboard is there. */
async function press(vm: VmHandle, makeCode: number): Promise<void> {
  while (!(await vm.pressKey(makeCode))) await sleep(1)
}

export default defineScenario({
  vms: {
    good: guest('stays'),
    throws: guest('throws'),
    late: guest('throws-later'),
    rejects: guest('rejects-later'),
    exits: guest('exits'),
    returns: guest('returns'),
    stubborn: guest('ignores-stop'),
    typist: guest('types'),
    sender: guest('sends'),
    receiver: guest('receives'),
  },
  async run({ vms, load, expect }) {
    // A program that ends at once may end before its start was told.
    await Promise.allSettled([...vms.all].map((vm) => vm.started()))

    const ends = await Promise.all(
      [vms.throws, vms.late, vms.rejects, vms.exits, vms.returns].map((vm) => vm.exit),
    )
    expect(ends.map((end) => end.reason)).toEqual([
      'threw',
      'crashed',
      'crashed',
      'crashed',
      'exited',
    ])
    expect(ends[0]?.detail).toContain('the disk is on fire')
    expect(ends[1]?.detail).toContain('nobody caught this')
    expect(ends[2]?.detail).toContain('nobody awaits this')
    expect(ends[3]?.detail).toBe('the guest thread exited with code 7')
    expect(ends[4]?.detail).toBe('the program came to its end')
    expect([vms.throws, vms.late, vms.returns].map((vm) => vm.state)).toEqual([
      'failed',
      'failed',
      'off',
    ])

    expect(await vms.good.call('double', 21)).toBe(42)
    expect(await refusal(vms.good.call('fail'))).toContain('not today')
    expect(await refusal(vms.good.call('none'))).toContain('exposes no "none"')
    expect(await refusal(vms.good.call('double', () => 1))).toContain('could not be cloned')
    expect(await refusal(vms.throws.call('double', 1))).toContain('VM "throws" is failed')

    // What a program reported is there after its end, once.
    expect(await vms.returns.takeReports()).toEqual(['first', 'last words'])
    expect(await vms.returns.takeReports()).toEqual([])
    expect(await vms.throws.takeReports()).toEqual(['smoke'])

    await vms.returns.restart().catch(() => undefined)
    expect((await vms.returns.exit).reason).toBe('exited')

    for (const makeCode of [0x1e, 0x30, 0x2e]) await press(vms.typist, makeCode)
    let keys: unknown[] = []
    while (keys.length === 0) {
      await sleep(1)
      keys = await vms.typist.takeReports()
    }
    expect((keys[0] as { makeCode: number }[]).map((key) => key.makeCode)).toEqual([
      0x1e, 0x30, 0x2e,
    ])

    const [sent, received] = await Promise.all([
      vms.sender.call('send'),
      vms.receiver.call('receive'),
    ])
    expect(sent).toBe(100_000)
    expect(received).toEqual({ bytes: 100_000, sum: 4_950_000 })

    for (const waiting of ['busy', 'adaptive', 'block', 'event-loop'] as const) {
      const report = await load.channel(vms.good, {
        direction: 'echo',
        waiting,
        packets: 200,
        warmUp: '0 ms',
        repeats: 1,
      })
      expect(report.sequenceErrors).toBe(0)
      expect(report.latency?.count).toBe(200)
    }

    expect(await refusal(vms.good.addMemory('64 KiB'))).toBe(
      'VM "good": addMemory: 0.0625 MiB more: it has 8 MiB of 8 MiB at most',
    )
    expect(await refusal(vms.good.addMemory(4096))).toContain('not a multiple of 64 KiB')
    expect(await vms.good.heartbeat()).toBe('ok')

    await vms.good.stop()
    expect(await refusal(vms.good.addMemory('64 KiB'))).toContain('VM "good" is off')
    expect((await vms.good.exit).reason).toBe('stopped')
    await vms.stubborn.stop()
    expect(['turned-off', 'stopped']).toContain((await vms.stubborn.exit).reason)
    await vms.typist.turnOff()
    expect((await vms.typist.exit).reason).toBe('turned-off')
    expect(vms.typist.state).toBe('failed')
  },
})
