// A Linux machine of the virtual engine as a file, and back. Saving happens within one turn of the root: the machine's processor stands
// still, nobody else polls, and so guest, root and RAM are of the same moment.

import { GuestMemory } from '@guestyard/guestmem'
import type { RootPartition, SavedPartition } from '@guestyard/root-partition'
import type { PartitionStart } from '@guestyard/root-partition/worker-protocol'
import type { VirtualActor } from '@guestyard/engine/virtual'
import type { LinuxGuest, SavedLinux } from '@guestyard/x86-partition/node'
import { MACHINE_ROOMS } from '@guestyard/x86-partition/worker-protocol'

import type { VirtualLinux } from './virtual-linux.ts'
import type { VirtualWorld } from './virtual-world.ts'

/** Of the records in the file. */
const SAVED_VM_VERSION = 1
/** While the machine stands still the root may have something left to do; when that does not help, the machine runs on a little. */
const STANDING_TRIES = 16
const STANDING_NS = 50_000
const ROUNDS_MAX = 500
const RUNNING_NS = 2_000_000

/** What a file holds beside RAM. Plain data. */
export interface SavedVm {
  readonly version: number
  readonly root: SavedPartition
  readonly guest: SavedLinux
}

export interface SavedVmFile {
  readonly vm: SavedVm
  readonly ram: Uint8Array
}

/** A machine that runs. */
export interface SavingVm {
  readonly world: VirtualWorld
  readonly root: VirtualActor
  readonly partition: RootPartition
  readonly start: PartitionStart
  readonly memoryBytes: number
  readonly guest: VirtualLinux
  readonly runtime: LinuxGuest
}

/** Resolves when the file is whole; the machine stands still then. Rejects with the reason, in one line, and it runs on. */
export async function saveVm(saving: SavingVm, file: string): Promise<void> {
  const { world, root, guest } = saving
  const { writeSavedFile } = await world.hold('the saved machine', nodeDoor())
  let why = ''
  try {
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      guest.isPaused = true
      for (let tries = 0; tries < STANDING_TRIES; tries += 1) {
        const record = await world.ask(root, null, () => recordOf(saving))
        if (typeof record !== 'string') {
          writeSavedFile(file, { state: record, ram: ramViewOf(saving.start, saving.memoryBytes) })
          return
        }
        why = record
        await pass(world, STANDING_NS)
      }
      guest.isPaused = false
      await pass(world, RUNNING_NS)
    }
  } catch (error) {
    guest.isPaused = false
    throw error
  }
  throw new Error(`it comes to no rest: ${why}`)
}

/** Throws, in one line that names the file, for what is no machine with so much RAM. */
export async function readSavedVm(
  world: VirtualWorld,
  file: string,
  memoryBytes: number,
): Promise<SavedVmFile> {
  const { readSavedFile } = await world.hold('the saved machine', nodeDoor())
  const { state, ram } = readSavedFile(file, memoryBytes)
  const vm = state as SavedVm
  if (vm?.version !== SAVED_VM_VERSION) throw new Error(`${file}: saved by another version`)
  return { vm, ram }
}

/** In the root's turn, before the guest's processor is made. Null, or why the partition can't go on: it is to be deleted then. */
export function restoreVm(
  partition: RootPartition,
  start: PartitionStart,
  { vm, ram }: SavedVmFile,
): string | null {
  ramViewOf(start, ram.length).set(ram)
  try {
    return partition.restore(start.partitionId, vm.root)
  } catch (error) {
    // A record that says nothing a guest could: whoever made the file up gets no machine.
    return `its records make no sense (${error instanceof Error ? error.message : String(error)})`
  }
}

/** Or why there is none now. Throws when there will be none. */
function recordOf({ partition, start, runtime }: SavingVm): SavedVm | string {
  const guest = runtime.save()
  if (guest === null) return 'something is on its way into it'
  const root = partition.save(start.partitionId)
  if (!('unsaved' in root)) return { version: SAVED_VM_VERSION, root, guest }
  if (root.mayChange) return root.unsaved
  throw new Error(root.unsaved)
}

function ramViewOf({ memory }: PartitionStart, memoryBytes: number): Uint8Array {
  return GuestMemory.attachAt(memory, MACHINE_ROOMS.belowBytes, memoryBytes).u8
}

function pass(world: VirtualWorld, ns: number): Promise<void> {
  return new Promise((resolve) => {
    world.host.post(ns, resolve)
  })
}

function nodeDoor() {
  return import('@guestyard/x86-partition/node')
}
