// The IDE disks of one VM in its worker process: opened before there is a partition, closed when the VM is over. Loaded for VMs that have
// some: images and the controller are code that others need not carry.

import { openDisk, type OpenedDisk } from '@guestyard/root-partition'
import type { DiskSpec } from '@guestyard/root-partition/worker-protocol'

import { IdeDisks } from './ide-disks.ts'
import { MachineDisk } from './machine-disk.ts'
import type { EmulatedMachine } from './machine.ts'
import type { ServedDisks } from './served-disks.ts'

/** Whoever is told by a disk that it wants to be polled. */
export interface DiskWaker {
  wake: () => void
}

/** As `DeviceWork` counts: limits are asked for the time when they are polled. */
const CLOCK = {
  get nowMs(): number {
    return performance.now()
  },
}

/** A closing disk wakes whoever waits; this is only a net. */
const CLOSE_POLL_MS = 20

/** Throws, in one line, when an image is none or does not fit; what was opened is closed then. `waker.wake` is called from the event loop. */
export async function openVmDisks(
  machine: EmulatedMachine,
  disks: readonly DiskSpec[],
  waker: DiskWaker,
): Promise<IdeDisks> {
  const ide = new IdeDisks(machine)
  const open = (spec: DiskSpec): OpenedDisk =>
    openDisk(spec, {
      flush: 'async',
      wake: () => waker.wake(),
      clock: CLOCK,
    })
  try {
    for (const spec of disks) ide.attach(spec, open)
  } catch (error) {
    await closeVmDisks(ide, waker)
    throw error
  }
  return ide
}

/** The one IDE disk of a machine guest. Throws, in one line, as `openVmDisks`. */
export async function openMachineDisk(
  machine: EmulatedMachine,
  spec: DiskSpec,
  waker: DiskWaker,
): Promise<MachineDisk> {
  const wake = (): void => waker.wake()
  const { disk } = openDisk(spec, { flush: 'async', wake, clock: CLOCK })
  const served = new MachineDisk(spec, disk, wake)
  try {
    served.checkSectors(spec)
  } catch (error) {
    await closeVmDisks(served, waker)
    throw error
  }
  machine.addWorking(served)
  return served
}

/** Ends all use of the images; resolves when they are free. */
export async function closeVmDisks(disks: ServedDisks, waker: DiskWaker): Promise<void> {
  disks.close()
  while (!disks.isClosed()) {
    const { promise, resolve } = Promise.withResolvers<void>()
    waker.wake = resolve
    const timer = setTimeout(resolve, CLOSE_POLL_MS)
    await promise
    clearTimeout(timer)
  }
}
