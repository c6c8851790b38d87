/**
 * Hyper-V's architecture diagram, box by box: which folder holds it, and what it did while two guests ran. In virtual time the same seed shows
 * the same numbers, and the trace names what led to each of them.
 *
 *     npx guestyard run scripts/architecture-tour.ts
 *     npx guestyard run scripts/architecture-tour.ts --engine virtual --seed 7 --trace tour.trace
 */

import {
  defineScenario,
  type ScenarioContext,
  type ScenarioDefinition,
  type VmDefinition,
} from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

type Names = 'left' | 'right'
type Root = Awaited<ReturnType<ScenarioContext['host']['inspect']>>

/** A box of the diagram. */
interface Box {
  readonly box: string
  readonly folder: string
  readonly what: string
  readonly count: (root: Root, guest: GuestCounters) => number
}

/** What a guest's own processor counted, as the guest says. */
interface GuestCounters {
  readonly vp: {
    readonly hypercalls: number
    readonly messagesDelivered: number
    readonly interruptsTaken: number
  }
  readonly vmbus: { readonly channels: readonly unknown[] }
}

/** Columns of the table. */
const BOX_WIDTH = 34
const FOLDER_WIDTH = 46

const guest = { memory: { startup: '8 MiB', maximum: '16 MiB' }, guest: './guests/tour-guest.ts' }

const tour: ScenarioDefinition<{ readonly [Name in Names]: VmDefinition }> = defineScenario({
  name: 'architecture tour',
  host: { logicalProcessors: 1, scheduler: 'classic', memory: '256 MiB' },
  vms: { left: { ...guest, weight: 100 }, right: { ...guest, weight: 300 } },
  async run({ vms, host, load, expect, log }) {
    const reports = await vms.all.started()
    log(`two guests found ${reports[0]?.vendor} and ${reports[0]?.offers} devices each`)

    await Promise.all([vms.left.call('compute', 40_000), vms.right.call('compute', 40_000)])
    await load.channel(vms.left, { direction: 'echo', duration: '100 ms', repeats: 1 })
    await vms.right.addMemory('8 MiB')
    await vms.left.call('post', 0x55)
    await vms.right.pressKey(0x1e)
    for (let asked = 0; asked < 1_000 && (await vms.right.call('keys')) === 0; asked += 1);
    expect(await vms.right.call('keys'), 'keys that the guest saw').toBe(1)

    const root = await host.inspect()
    const counters = (await vms.left.inspect()) as GuestCounters
    const rows = BOXES.map((box) => ({ ...box, seen: box.count(root, counters) }))
    for (const { box, folder, seen, what } of rows) {
      log(`${box.padEnd(BOX_WIDTH)}${folder.padEnd(FOLDER_WIDTH)}${seen} ${what}`)
    }
    for (const { box, what, seen } of rows) expect(seen, `${box}: ${what}`).toBeGreaterThan(0)
  },
})

export default tour

if (import.meta.main) sayHowToRun('architecture-tour')

const BOXES: readonly Box[] = [
  {
    box: 'Hypervisor: hypercalls',
    folder: 'packages/hypervisor/src/root-calls',
    what: 'calls by the root',
    count: (root) => sum(root.hypervisor.hypercalls.calls.map(({ calls }) => calls)),
  },
  {
    box: 'Hypervisor: partitions',
    folder: 'packages/hypervisor/src',
    what: 'partitions',
    count: (root) => root.hypervisor.partitions.length,
  },
  {
    box: 'Hypervisor: memory',
    folder: 'packages/guestmem/src',
    what: 'pages of RAM mapped',
    count: (root) => sum(root.hypervisor.memory.partitions.map(({ ramPages }) => ramPages)),
  },
  {
    box: 'Hypervisor: IOMMU',
    folder: 'packages/guestmem/src',
    what: 'pages in DMA domains',
    count: (root) =>
      sum(root.partitions.flatMap(({ vmbus }) => vmbus.iommu.domains.map((d) => d.mappedPages))),
  },
  {
    box: 'Hypervisor: scheduler',
    folder: 'packages/root-partition/src/scheduler',
    what: 'dispatches',
    count: (root) => sum(root.scheduler.logicalProcessors.map(({ dispatches }) => dispatches)),
  },
  {
    box: 'Hypervisor: SynIC and APIC',
    folder: 'packages/hypervisor/src/synic',
    what: 'interrupts taken by a VP',
    count: (_root, { vp }) => vp.interruptsTaken,
  },
  {
    box: 'Hypervisor: intercepts',
    folder: 'packages/hypervisor/src/intercepts',
    what: 'accesses to ports, answered by their owner',
    count: (root) =>
      sum(root.partitions.map(({ intercepts: { owned, unowned } }) => owned + unowned)),
  },
  {
    box: 'Root: WinHv and VID',
    folder: 'packages/root-partition/src/{winhv,vid}',
    what: 'processors made by hypercall',
    count: (root) => callsOf(root, 'HvCallCreateVp'),
  },
  {
    box: 'Root: interrupt routing',
    folder: 'packages/root-partition/src/interrupts',
    what: 'interrupts routed to guests',
    count: (root) => sum(root.partitions.map(({ interrupts }) => interrupts.raised)),
  },
  {
    box: 'Root: VMBus and VSPs',
    folder: 'packages/vmbus/src/server, packages/*/src/vsp',
    what: 'channels open',
    count: (root) => sum(root.partitions.map(({ vmbus }) => vmbus.channels.filter(isOpen).length)),
  },
  {
    box: 'Root: VMMS and worker processes',
    folder: 'packages/management/src/{vmms,vmwp}',
    what: 'virtual machines',
    count: (root) => root.partitions.length,
  },
  {
    box: 'Child: enlightened kernel',
    folder: 'packages/child-partition/src/kernel',
    what: 'hypercalls by a guest',
    count: (_root, { vp }) => vp.hypercalls,
  },
  {
    box: 'Child: VMBus and VSCs',
    folder: 'packages/vmbus/src/client, packages/*/src/vsc',
    what: 'channels of a guest',
    count: (_root, { vmbus }) => vmbus.channels.length,
  },
]

function isOpen({ state }: { readonly state: string }): boolean {
  return state === 'open'
}

function callsOf(root: Root, name: string): number {
  return root.hypervisor.hypercalls.calls.find((call) => call.name === name)?.calls ?? 0
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0)
}
