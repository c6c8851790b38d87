/** How long a guest takes to come up: alone, time after time, and sixteen at once. */

import type { Host, Vm } from '@guestyard/management'

/** Milliseconds of one boot. */
export interface BootTimes {
  /** From the first line of the guest's worker to its first channel open. */
  readonly workerToChannelMs: number
  /** From `start()` to its end: worker process, partition, guest's thread, bus, first channel. */
  readonly startMs: number
}

export interface BootFigures {
  readonly alone: readonly BootTimes[]
  readonly atOnce: readonly BootTimes[]
  /** From the first `start()` until the last of those guests was up. */
  readonly allUpMs: number
}

export const GUESTS_AT_ONCE = 16

/** Boots one guest after the other, then many at once. The host is as it was afterwards. */
export async function measureBoots(
  host: Host,
  boots: number,
  signal: AbortSignal,
): Promise<BootFigures> {
  const alone: BootTimes[] = []
  for (let boot = 0; boot < boots; boot += 1) {
    signal.throwIfAborted()
    const vm = host.createVm({ name: `boot-${boot}` })
    alone.push(await timedStart(vm))
    await vm.stop()
    host.removeVm(vm.name)
  }
  signal.throwIfAborted()
  const vms = Array.from({ length: GUESTS_AT_ONCE }, (_, index) =>
    host.createVm({ name: `together-${index}` }),
  )
  const started = performance.now()
  const atOnce = await Promise.all(vms.map(timedStart))
  const allUpMs = performance.now() - started
  await Promise.all(vms.map((vm) => vm.stop()))
  for (const vm of vms) host.removeVm(vm.name)
  return { alone, atOnce, allUpMs }
}

async function timedStart(vm: Vm): Promise<BootTimes> {
  const started = performance.now()
  const { firstChannelMs } = await vm.start()
  return { workerToChannelMs: firstChannelMs, startMs: performance.now() - started }
}
