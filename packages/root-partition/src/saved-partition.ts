// A partition as the root has it, as a record: its time, and its bus with what the programs of its devices know. RAM, and what its VPs
// are, is saved by whoever has those. Everything else (ports, routes, mappings) follows from the bus.

import { HvPartitionProperty, HvStatus } from '@guestyard/hvdef'
import type { SavedBus, Unsaved, VmbusServer } from '@guestyard/vmbus/server'

import type { WinHv } from './winhv/index.ts'

/** Of the record. A change of its shape is another number. */
const SAVED_PARTITION_VERSION = 1

/** Plain data. */
export interface SavedPartition {
  readonly version: number
  /** At which its time stands still meanwhile, in 100 ns. */
  readonly referenceTime100ns: number
  readonly bus: SavedBus
}

/** The parts of a partition that its record is about. */
export interface SavedPartitionParts {
  readonly id: number
  readonly bus: VmbusServer
  readonly winhv: WinHv
}

/** `hasWork`: its VPs have announced what the root has not taken. */
export function savePartition(
  { bus }: Pick<SavedPartitionParts, 'bus'>,
  referenceTime100ns: number,
  hasWork: boolean,
): SavedPartition | Unsaved {
  if (hasWork) return { unsaved: 'the root has not taken all that it sent', mayChange: true }
  const saved = bus.save()
  if ('unsaved' in saved) return saved
  return { version: SAVED_PARTITION_VERSION, referenceTime100ns, bus: saved }
}

/** A new partition, whose RAM is as it was saved and whose VPs have not run. Null; or why it can't go on, and then it is to be deleted. */
export function restorePartition(
  { id, bus, winhv }: SavedPartitionParts,
  saved: SavedPartition,
): string | null {
  const { version, referenceTime100ns } = saved
  if (version !== SAVED_PARTITION_VERSION) return 'it was saved by another version'
  if (!Number.isSafeInteger(referenceTime100ns) || referenceTime100ns < 0) {
    return 'its time is none'
  }
  const steps = [
    [HvPartitionProperty.TIME_FREEZE, 1],
    [HvPartitionProperty.REFERENCE_TIME, referenceTime100ns],
    [HvPartitionProperty.TIME_FREEZE, 0],
  ] as const
  for (const [property, value] of steps) {
    const status = winhv.setPartitionProperty(id, property, value)
    if (status !== HvStatus.SUCCESS) return 'its time is none'
  }
  return bus.restore(saved.bus)
}
