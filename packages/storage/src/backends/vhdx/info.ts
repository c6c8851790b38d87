// What a file says of itself, without its blocks and its parents: for people, and for who makes a child of it.

import type { Guid } from '@guestyard/hvdef'

import type { BackingFile } from '../backing-file.ts'
import { readStructures } from './image.ts'
import type { ParentReference } from './parent-locator.ts'

export interface VhdxInfo {
  readonly kind: 'fixed' | 'dynamic' | 'differencing'
  readonly virtualBytes: number
  readonly blockBytes: number
  readonly logicalSectorBytes: 512 | 4096
  readonly physicalSectorBytes: 512 | 4096
  /** 16 bytes that name the disk; a child has its parent's. */
  readonly diskId: Uint8Array
  /** What the data are called now: a child made of this image has it for its `linkage`. */
  readonly dataWriteGuid: Guid
  /** Where a differencing image says that its parent is. */
  readonly parent: ParentReference | null
  /** It was not closed: the next open for writing replays its log. */
  readonly isLogInUse: boolean
}

/** Reads a file's structures. Writes nothing. Throws an `ImageError`. */
export function readVhdxInfo(file: BackingFile): VhdxInfo {
  const { headers, replay, metadata } = readStructures(file)
  const alone = metadata.leaveAllocated ? 'fixed' : 'dynamic'
  return {
    kind: metadata.parent === null ? alone : 'differencing',
    virtualBytes: metadata.virtualBytes,
    blockBytes: metadata.blockBytes,
    logicalSectorBytes: metadata.logicalBytes,
    physicalSectorBytes: metadata.physicalBytes,
    diskId: metadata.diskId,
    dataWriteGuid: headers.current.dataWriteGuid,
    parent: metadata.parent,
    isLogInUse: replay !== null,
  }
}
