// Opens what a spec names: a disk in memory, or an image of the host's file system, made first when it is missing and the spec says how.

import { createHash } from 'node:crypto'

import { ImageError, MemoryDisk, RawDisk, type Disk } from '@guestyard/storage'
import { openBackingFile } from '@guestyard/storage/file'

import type { DiskSpec } from './disk-spec.ts'
import type { OpenedDisk } from './partition-disks.ts'

export interface OpenDiskOptions {
  /** `sync` for engines whose time is not the host's. */
  readonly flush: 'async' | 'sync'
  /** The disk wants to be polled. From the event loop. */
  readonly wake: () => void
  /** The clock that limits count by. */
  readonly nowMs: () => number
}

/** Throws an ImageError, in one line, when there is no such image or it is no good. */
export function openDisk(spec: DiskSpec, options: OpenDiskOptions): OpenedDisk {
  const opened = unlimited(spec, options)
  return opened
}

function unlimited(spec: DiskSpec, { flush, wake }: OpenDiskOptions): OpenedDisk {
  const { source, readOnly } = spec
  if (source === null) throw new ImageError('', '', 'an empty drive has no disk')
  const uniqueId = idOf(source.is === 'memory' ? JSON.stringify(spec) : source.path)
  if (source.is === 'memory') {
    const { sizeBytes, blockBytes } = source
    const disk = new MemoryDisk({ sizeBytes, logicalBlockBytes: blockBytes, readOnly, uniqueId })
    return { disk, format: 'memory' }
  }
  const file = openBackingFile(source.path, { readOnly, flush, wake })
  const disk: Disk = new RawDisk(file, { readOnly, uniqueId })
  return { disk, format: 'raw' }
}

/** The same place has the same name each time. */
function idOf(text: string): Uint8Array {
  return createHash('sha256').update(text).digest().subarray(0, 16)
}
