// What a saved VM's file holds beside RAM, the same for both engines: what the root and the guest's thread said of it, and how its disks
// were left.

import { statSync } from 'node:fs'
import {
  describeAddress,
  type DiskSpec,
  type NicSpec,
  type SavedPartition,
} from '@guestyard/root-partition/worker-protocol'
import type { SavedLinux } from '@guestyard/x86-partition/worker-protocol'

import { SavedFileError, readSavedFile } from './saved-file.ts'

/** Of the records in the file. A change of their shape is another number. */
export const SAVED_VM_VERSION = 2

/** Plain data. */
export interface SavedVm {
  readonly version: number
  readonly root: SavedPartition
  readonly guest: SavedLinux
  /** By place. */
  readonly disks: readonly SavedDisk[]
}

/** A disk as it was left. */
export interface SavedDisk {
  /** As `describeAddress` has it. */
  readonly place: string
  readonly device: 'disk' | 'dvd'
  /** Of its image's file; null: a drive without a disc. */
  readonly image: SavedImage | null
}

interface SavedImage {
  readonly sizeBytes: number
  /** Nanoseconds since the epoch, in decimal. */
  readonly modifiedNs: string
}

export interface SavedVmFile {
  readonly vm: SavedVm
  readonly ram: Uint8Array
}

/** What of a VM is looked at. */
interface VmParts {
  readonly linux: unknown
  readonly disks: readonly DiskSpec[]
  readonly nics: readonly NicSpec[]
}

/** What of a VM no record is kept of, in some words; null: it can be saved. */
export function keptApart({ linux, disks, nics }: VmParts): string | null {
  if (linux === null) return 'only Linux guests are'
  if (nics.length > 0) return 'it has network adapters'
  for (const disk of disks) {
    if (disk.controllerType === 'ide') return 'it has IDE disks'
    if (disk.source?.is === 'memory') return `its disk ${describeAddress(disk)} is in memory`
  }
  return null
}

/** The disks of a VM whose images are closed. Throws what the host says. */
export function savedDisks(disks: readonly DiskSpec[]): readonly SavedDisk[] {
  return disks
    .map((disk) => ({
      place: describeAddress(disk),
      device: disk.device,
      image: disk.source?.is === 'file' ? imageOf(disk.source.path) : null,
    }))
    .toSorted((a, b) => (a.place < b.place ? -1 : 1))
}

/** Throws a SavedFileError, in one line that names the file, for what is no machine with so much RAM and such disks. */
export function readSavedVm(
  file: string,
  memoryBytes: number,
  disks: readonly DiskSpec[],
): SavedVmFile {
  const { state, ram } = readSavedFile(file, memoryBytes)
  const vm = state as SavedVm
  if (vm?.version !== SAVED_VM_VERSION || !Array.isArray(vm.disks)) {
    throw new SavedFileError(`${file}: saved by another version`)
  }
  const change = diskChanged(vm.disks, disks)
  if (change !== null) throw new SavedFileError(`${file}: ${change}`)
  return { vm, ram }
}

/** How a VM's disks differ from those that were saved, in some words; null: they don't. */
export function diskChanged(
  saved: readonly SavedDisk[],
  disks: readonly DiskSpec[],
): string | null {
  const byPlace = new Map(saved.map((disk) => [disk.place, disk]))
  for (const disk of disks) {
    const place = describeAddress(disk)
    const before = byPlace.get(place)
    if (before === undefined) return `saved without a disk at ${place}`
    byPlace.delete(place)
    if (before.device !== disk.device) return `saved with another device at ${place}`
    const change = imageChanged(before.image, disk)
    if (change !== null) return `disk ${place}: ${change}`
  }
  const [missing] = byPlace.keys()
  return missing === undefined ? null : `saved with a disk at ${missing}, which the machine lacks`
}

function imageChanged(before: SavedImage | null, { source }: DiskSpec): string | null {
  if (source === null) return before === null ? null : 'saved with a disc in it'
  if (source.is === 'memory') return 'a disk in memory is not what it was'
  if (before === null) return 'saved without a disc'
  let now: SavedImage
  try {
    now = imageOf(source.path)
  } catch {
    return `${source.path} can't be looked at`
  }
  const isSame = now.sizeBytes === before.sizeBytes && now.modifiedNs === before.modifiedNs
  return isSame ? null : `${source.path} has changed since the machine was saved`
}

function imageOf(path: string): SavedImage {
  const { size, mtimeNs } = statSync(path, { bigint: true })
  return { sizeBytes: Number(size), modifiedNs: String(mtimeNs) }
}
