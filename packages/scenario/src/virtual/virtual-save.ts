// A Linux machine of the virtual engine as a file, and back. Saving happens within one turn of the root: the machine's processor stands
// still, nobody else polls, and so guest, root and RAM are of the same moment.

import type { SavedDisk, SavedVm, SavedVmFile, StagedFile } from '@guestyard/management/saved'
import { GuestMemory } from '@guestyard/guestmem'
import type { VmSettings } from '@guestyard/management'
import type { RootPartition } from '@guestyard/root-partition'
import type { PartitionStart } from '@guestyard/root-partition/worker-protocol'
import type { VirtualActor } from '@guestyard/engine/virtual'
import type { LinuxGuest } from '@guestyard/x86-partition/node'
import { MACHINE_ROOMS } from '@guestyard/x86-partition/worker-protocol'

import type { VirtualLinux } from './virtual-linux.ts'
import type { VirtualWorld } from './virtual-world.ts'

/** While the machine stands still the root may have something left to do; when that does not help, the machine runs on a little. */
const STANDING_TRIES = 16
const STANDING_NS = 50_000
const ROUNDS_MAX = 500
const RUNNING_NS = 2_000_000

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

/** A machine that stands still, its RAM on the way to a file. */
export interface RestingVm {
  readonly vm: Omit<SavedVm, 'disks'>
  readonly file: StagedFile
}

/** The machine stands still then. Rejects with the reason, in one line, and it runs on. */
export async function saveVm(saving: SavingVm, file: string): Promise<RestingVm> {
  const { world, root, guest } = saving
  const { SAVED_VM_VERSION, stageSavedFile } = await world.hold('the saved machine', savedDoor())
  let why = ''
  try {
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      guest.isPaused = true
      for (let tries = 0; tries < STANDING_TRIES; tries += 1) {
        const record = await world.ask(root, null, () => recordOf(saving, SAVED_VM_VERSION))
        if (typeof record !== 'string') {
          const ram = ramViewOf(saving.start, saving.memoryBytes)
          return { vm: record, file: stageSavedFile(file, ram) }
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

/** The machine has ended and its images are closed: the file gets its records and its name. */
export async function finishSaving(
  world: VirtualWorld,
  { vm, file }: RestingVm,
  disks: VmSettings['disks'],
): Promise<void> {
  const { savedDisks } = await world.hold('the saved machine', savedDoor())
  let left: readonly SavedDisk[]
  try {
    left = savedDisks(disks)
  } catch (error) {
    file.abandon()
    throw error
  }
  file.commit({ ...vm, disks: left } satisfies SavedVm)
}

/** Throws, in one line that names the file, for what is no machine with so much RAM and such disks. */
export async function readSavedVm(
  world: VirtualWorld,
  file: string,
  { memoryBytes, disks }: Pick<VmSettings, 'memoryBytes' | 'disks'>,
): Promise<SavedVmFile> {
  const door = await world.hold('the saved machine', savedDoor())
  return door.readSavedVm(file, memoryBytes, disks)
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
function recordOf(
  { partition, start, runtime }: SavingVm,
  version: number,
): Omit<SavedVm, 'disks'> | string {
  const guest = runtime.save()
  if (guest === null) return 'something is on its way into it'
  const root = partition.save(start.partitionId)
  if (!('unsaved' in root)) return { version, root, guest }
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

function savedDoor() {
  return import('@guestyard/management/saved')
}
