// A running machine brought to rest, and its RAM and records on the way to a file: the worker process's part of saving. See the README,
// "Saved machines".
//
//   pause the processor ─▶ the root holds the bus, with its record ─▶ the guest's record ─▶ RAM to the file
//        ▲ a little later          │ not yet: something is under way       │ not yet: something is on its way in
//        └─────────────────────────┴── the root lets go, the processor runs on ──┘

import type { Remote } from 'comlink'
import { GuestMemory } from '@guestyard/guestmem'
import type {
  PartitionStart,
  RootServices,
  SavedPartition,
} from '@guestyard/root-partition/worker-protocol'
import {
  MACHINE_ROOMS,
  type MachineControl,
  type SavedLinux,
} from '@guestyard/x86-partition/worker-protocol'

import { stageSavedFile, type StagedFile } from './saved/saved-file.ts'

/** While the processor stands the root may have something left to do; when that does not help, it runs on a little. */
const STANDING_TRIES = 8
const RUNNING_MS = 2
const PATIENCE_MS = 20_000
/** A processor's state without RAM takes some hundred KiB; what a guest's thread hands over is bounded. */
const PROCESSOR_BYTES_MAX = 32 * 2 ** 20

/** A machine at rest: it runs no more until `resume`. */
export interface RestingMachine {
  readonly root: SavedPartition
  readonly guest: SavedLinux
  readonly file: StagedFile
}

export interface MachineToSave {
  readonly root: Remote<RootServices>
  readonly guest: Remote<Pick<MachineControl, 'pause' | 'resume' | 'save'>>
  readonly start: PartitionStart
  readonly memoryBytes: number
}

/** Rejects with the reason in one line, and the machine runs on. */
export async function restMachine(machine: MachineToSave, path: string): Promise<RestingMachine> {
  const { root, guest, start } = machine
  const { partitionId } = start
  try {
    const records = await recordsOf(machine)
    const file = stageSavedFile(path, ramOf(start, machine.memoryBytes))
    return { ...records, file }
  } catch (error) {
    await root.release(partitionId)
    await guest.resume()
    throw error
  }
}

type Records = Pick<RestingMachine, 'root' | 'guest'>

async function recordsOf(machine: MachineToSave): Promise<Records> {
  const { root, guest, start } = machine
  const { partitionId } = start
  const endMs = performance.now() + PATIENCE_MS
  let why = 'it was not looked at'
  while (performance.now() < endMs) {
    await guest.pause()
    for (let tries = 0; tries < STANDING_TRIES; tries += 1) {
      const held = await root.hold(partitionId)
      if (!('unsaved' in held)) {
        const record: unknown = await guest.save()
        if (record !== null) return { root: held, guest: checked(record) }
        await root.release(partitionId)
        why = 'something is on its way into it'
        // Only its guest can take that.
        break
      }
      if (!held.mayChange) throw new Error(held.unsaved)
      why = held.unsaved
    }
    await guest.resume()
    await new Promise((resolve) => setTimeout(resolve, RUNNING_MS))
  }
  throw new Error(`it comes to no rest: ${why}`)
}

/** The guest's thread says it: what is in it is checked by whoever restores it, how much there is by whoever keeps it. */
function checked(record: unknown): SavedLinux {
  const { machine, release, mark } = record as SavedLinux
  const isRecord =
    typeof release === 'string' &&
    release.length <= 256 &&
    typeof mark === 'string' &&
    mark.length <= 64 &&
    machine?.processor instanceof Uint8Array &&
    machine.processor.length <= PROCESSOR_BYTES_MAX
  if (!isRecord) throw new Error('what its thread says of it makes no sense')
  return { machine, release, mark }
}

/** A machine's RAM, as long as there is a partition. */
export function ramOf({ memory }: PartitionStart, memoryBytes: number): Uint8Array {
  return GuestMemory.attachAt(memory, MACHINE_ROOMS.belowBytes, memoryBytes).u8
}
