/**
 * A scenario to copy from: machines with disks. Four guests write and read blocks that carry their address and generation, with disks
 * of 512 and 4096-byte blocks, one of them throttled; a disk comes and goes while its guest is at work.
 *
 *     guestyard run scripts/disks.ts
 *     guestyard run scripts/disks.ts --engine virtual --seed 7 --trace disks.trace
 *
 * Here they are in memory, so that a run leaves nothing behind. `{ vhdx: 'db.vhdx', size: '1 GiB' }` makes one beside the scenario.
 */

import { defineScenario } from '@guestyard/scenario'
import type { ScenarioDefinition, VmDefinition } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

const guest = './guests/block-checker.ts'
/** Requests of each of a guest's workers. */
const REQUESTS = 40
const WORKERS = 4

const scenario: ScenarioDefinition<{
  readonly [Name in 'small' | 'large' | 'slow' | 'two']: VmDefinition
}> = defineScenario({
  name: 'disks',
  host: { logicalProcessors: 2 },
  vms: {
    small: { memory: '16 MiB', guest, disks: [{ memory: '4 MiB' }] },
    large: { memory: '16 MiB', guest, disks: [{ memory: '32 MiB', blockBytes: 4096 }] },
    slow: {
      memory: '16 MiB',
      guest,
      placement: 'scattered',
      disks: [{ memory: '4 MiB', limits: { iops: 50_000 } }],
    },
    two: { memory: '16 MiB', guest, disks: [{ memory: '4 MiB' }, { memory: '4 MiB' }] },
  },
  async run({ vms, host, expect, log }) {
    await vms.all.started()
    const checks = vms.all.list.map((vm, index) =>
      vm.call('check', { seed: index + 1, workers: WORKERS, requests: REQUESTS }),
    )
    const place = await vms.small.attachDisk({ memory: '2 MiB' })
    const extra = await vms.small.call('check', { disk: 'scsi0:1', seed: 9, requests: 20 })
    await vms.small.detachDisk(place)
    expect((extra as { requests: number }).requests, 'requests to the disk that came later').toBe(
      80,
    )

    const done = (await Promise.all(checks)) as readonly { readonly requests: number }[]
    expect(
      done.map(({ requests }) => requests),
      'requests, all of them right',
    ).toEqual(done.map(() => REQUESTS * WORKERS))

    const { partitions } = await host.inspect()
    const errors = partitions.flatMap(({ scsiControllers }) =>
      scsiControllers.flatMap(({ disks }) => disks.map(({ counters }) => counters?.errors ?? 0)),
    )
    expect(errors, 'errors of the five disks that are left').toEqual([0, 0, 0, 0, 0])
    log(`${done.length} guests found every block as they had left it`)
  },
})

export default scenario

if (import.meta.main) sayHowToRun('disks')
