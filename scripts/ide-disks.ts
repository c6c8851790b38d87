/**
 * A scenario to copy from: one guest program over both kinds of controller. Blocks carry their address and generation; the machine `old` has
 * an IDE disk on each channel, one of them throttled, `new` has its disk on the bus.
 *
 *     guestyard run scripts/ide-disks.ts
 *     guestyard run scripts/ide-disks.ts --engine virtual --seed 7 --trace ide.trace
 */

import { defineScenario } from '@guestyard/scenario'
import type { ScenarioDefinition, VmDefinition } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

const guest = './guests/block-checker.ts'
const REQUESTS = 15
const WORKERS = 2
const limits = { iops: 5_000 }

const scenario: ScenarioDefinition<{
  readonly [Name in 'old' | 'new']: VmDefinition
}> = defineScenario({
  name: 'ide-disks',
  host: { logicalProcessors: 2 },
  vms: {
    old: {
      memory: '16 MiB',
      guest,
      disks: [
        { memory: '4 MiB', controller: 'ide' },
        { memory: '4 MiB', controller: 'ide', number: 1, limits },
      ],
    },
    new: { memory: '16 MiB', guest, disks: [{ memory: '4 MiB' }] },
  },
  async run({ vms, expect, log }) {
    await vms.all.started()
    const work = { seed: 3, workers: WORKERS, requests: REQUESTS }
    const done = (await Promise.all([
      vms.old.call('check', { ...work, disk: 'ide0:0' }),
      vms.old.call('check', { ...work, disk: 'ide1:0' }),
      vms.new.call('check', { ...work, disk: 'scsi0:0' }),
    ])) as readonly { readonly requests: number }[]
    expect(
      done.map(({ requests }) => requests),
      'requests, all of them right',
    ).toEqual(done.map(() => REQUESTS * WORKERS))
    log('two guests found every block as they had left it')
  },
})

export default scenario

if (import.meta.main) sayHowToRun('ide-disks')
