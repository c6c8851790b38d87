// Opens what a spec names: a disk in memory, or an image of the host's file system, made first when it is missing and the spec says how.

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'

import {
  ImageError,
  LimitedDisk,
  MemoryDisk,
  growDisk,
  type Disk,
  type DiskClock,
} from '@guestyard/storage'
import { createImage, openImage } from '@guestyard/storage/file'

import type { KeptMemory } from './kept-memory.ts'
import type { DiskLimits, DiskSource, DiskSpec, NewImage } from './disk-spec.ts'
import type { OpenedDisk } from './partition-disks.ts'

export interface OpenDiskOptions {
  /** `sync` for engines whose time is not the host's. */
  readonly flush: 'async' | 'sync'
  /** The disk wants to be polled. From the event loop. */
  readonly wake: () => void
  /** What limits count by, moved by whoever polls the disk. */
  readonly clock: DiskClock
  /** Left out: no bytes outlive a disk. */
  readonly kept?: KeptMemory
}

/** Throws an ImageError, in one line, when there is no such image, it is no good, or others have it. */
export function openDisk(spec: DiskSpec, options: OpenDiskOptions): OpenedDisk {
  const { source, limits } = spec
  if (source === null) throw new ImageError('', '', 'an empty drive has no disk')
  const opened =
    source.is === 'memory'
      ? memoryDisk(source, spec, options.kept)
      : imageDisk(source, spec, options)
  return limits === null ? opened : { ...opened, disk: limited(opened.disk, limits, options.clock) }
}

function memoryDisk(
  source: DiskSource & { readonly is: 'memory' },
  spec: DiskSpec,
  kept: KeptMemory | undefined,
): OpenedDisk {
  const { sizeBytes, blockBytes, key } = source
  const uniqueId = createHash('sha256').update(JSON.stringify(spec)).digest().subarray(0, 16)
  const { readOnly } = spec
  try {
    const bytesOf = key === undefined ? undefined : kept?.get(key)
    const disk = new MemoryDisk({
      ...{ sizeBytes, logicalBlockBytes: blockBytes, readOnly, uniqueId },
      ...(bytesOf === undefined ? {} : { bytesOf }),
    })
    if (key !== undefined) kept?.keep(key, disk)
    return { disk, format: 'memory', grow: (bytes) => growDisk(disk, bytes, 'memory') }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new ImageError('memory', '', `the host has no ${sizeBytes} bytes for it`)
  }
}

function imageDisk(
  source: DiskSource & { readonly is: 'file' },
  { readOnly }: DiskSpec,
  { flush, wake }: OpenDiskOptions,
): OpenedDisk {
  const { path, format, create, blockBytes } = source
  if (create !== null && !existsSync(path)) make(path, create, blockBytes)
  const disk = openImage(path, {
    readOnly,
    flush,
    wake,
    logicalBlockBytes: blockBytes,
    ...(format === null ? {} : { format }),
  })
  return { disk, format: format ?? 'image', grow: (bytes) => growDisk(disk, bytes, path) }
}

function limited(disk: Disk, { iops, bytesPerSecond }: DiskLimits, clock: DiskClock): Disk {
  return new LimitedDisk(disk, clock, {
    ...(iops === null ? {} : { iops }),
    ...(bytesPerSecond === null ? {} : { bytesPerSecond }),
  })
}

function make(path: string, create: NewImage, logicalBlockBytes: 512 | 4096): void {
  if ('parentPath' in create) createImage(path, { format: 'vhdx', parent: create.parentPath })
  else createImage(path, { ...create, logicalBlockBytes })
}
