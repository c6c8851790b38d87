/** Shares among real guests on real threads, as the scheduler accounts them and as the guests' own clocks do. */

import { startHost } from '@guestyard/management'
import type { Vm, VmOptions } from '@guestyard/management'
import { fairShares, jainIndex } from '@guestyard/root-partition'
import { CPU_FRACTION_ONE } from '@guestyard/hvdef'

import { abortable } from '../script-run.ts'

const BURNER = new URL('../guests/burner.ts', import.meta.url)
const MIB = 1024 * 1024
/** Before it is measured: booting, compiling. */
const SETTLE_MS = 700

interface Machine {
  readonly what: string
  readonly logicalProcessors: number
  readonly vms: readonly Pick<VmOptions, 'weight' | 'cap' | 'reserve'>[]
}

const MACHINES: readonly Machine[] = [
  { what: '4 equal VPs', logicalProcessors: 1, vms: [{}, {}, {}, {}] },
  {
    what: 'weights 1:2:4',
    logicalProcessors: 1,
    vms: [100, 200, 400].map((weight) => ({ weight })),
  },
  { what: 'a cap of 20 %', logicalProcessors: 1, vms: [{ cap: 0.2, weight: 1_000 }, {}, {}] },
  { what: 'a reserve of 60 %', logicalProcessors: 1, vms: [{ reserve: 0.6, weight: 1 }, {}, {}] },
  { what: '3 equal VPs', logicalProcessors: 2, vms: [{}, {}, {}] },
  {
    what: 'weights 1:1:2:2',
    logicalProcessors: 2,
    vms: [100, 100, 200, 200].map((weight) => ({ weight })),
  },
]

export interface ThreadFigures {
  readonly what: string
  readonly logicalProcessors: number
  readonly due: readonly number[]
  /** Fractions of what all got together, as the scheduler charged it. */
  readonly charged: readonly number[]
  /** The same as the guests counted it. */
  readonly computed: readonly number[]
  readonly worstCharged: number
  readonly worstComputed: number
  readonly jain: number
  readonly dispatchesPerSecond: number
}

export async function measureThreads(
  seconds: number,
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<ThreadFigures[]> {
  const figures: ThreadFigures[] = []
  for (const machine of MACHINES) {
    progress(`threads: ${machine.what} on ${machine.logicalProcessors}`)
    figures.push(await measure(machine, seconds, signal))
  }
  return figures
}

async function measure(
  machine: Machine,
  seconds: number,
  signal: AbortSignal,
): Promise<ThreadFigures> {
  const { logicalProcessors } = machine
  const host = await startHost({ logicalProcessors, scheduler: 'classic', log: { level: 'error' } })
  try {
    const vms = machine.vms.map((options, index) =>
      host.createVm({ name: `vp${index}`, memoryBytes: 2 * MIB, program: BURNER, ...options }),
    )
    await abortable(Promise.all(vms.map((vm) => vm.start())), signal)
    await abortable(sleep(SETTLE_MS), signal)
    const look = async () => {
      const used = await Promise.all(vms.map(usedBy))
      const { partitions, scheduler } = await host.inspect()
      const charged = vms.map(({ name }) => {
        const id = partitions.find((partition) => partition.name === name)?.partitionId
        return scheduler.vps.find(({ partitionId }) => partitionId === id)?.guestRunTime ?? 0
      })
      return { scheduler, charged, used }
    }
    const before = await look()
    await abortable(sleep(seconds * 1_000), signal)
    const after = await look()
    const charged = parts(after.charged.map((time, index) => time - before.charged[index]!))
    const computed = parts(after.used.map((used, index) => used - before.used[index]!))
    const due = parts(fairShares(machine.vms.map(propertiesOf), logicalProcessors))
    const dispatches = (from: typeof before) =>
      from.scheduler.logicalProcessors.reduce((sum, lp) => sum + lp.dispatches, 0)
    return {
      what: machine.what,
      logicalProcessors,
      due,
      charged,
      computed,
      worstCharged: worst(charged, due),
      worstComputed: worst(computed, due),
      jain: jainIndex(charged.map((share, index) => share / due[index]!)),
      dispatchesPerSecond: (dispatches(after) - dispatches(before)) / seconds,
    }
  } finally {
    await host.close()
  }
}

async function usedBy(vm: Vm): Promise<number> {
  return (await vm.call('used')) as number
}

function propertiesOf({ weight = 100, cap = 1, reserve = 0 }: Machine['vms'][number]) {
  return { weight, cap: cap * CPU_FRACTION_ONE, reserve: reserve * CPU_FRACTION_ONE }
}

function parts(values: readonly number[]): readonly number[] {
  const total = values.reduce((sum, value) => sum + value, 0)
  return values.map((value) => value / total)
}

function worst(got: readonly number[], due: readonly number[]): number {
  return Math.max(...got.map((share, index) => Math.abs(share / due[index]! - 1)))
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
