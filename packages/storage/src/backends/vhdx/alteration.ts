// Changes of an image's structure that somebody orders while the disk may be in use: each is one commit of its own.

import type { BackingFile, FileStatus } from '../backing-file.ts'
import type { DiskStatus } from '../disk.ts'

export interface Alteration {
  /** What it is about, for an error. */
  readonly field: string
  /** A guest sees it: the data get another name. */
  readonly isVisible: boolean
  /** The log is emptied before: the file gets shorter. */
  readonly needsEmptyLog: boolean
  /** Changes tables and logs pages; nothing else is uncommitted then. A status that is not OK: it has changed nothing. */
  readonly apply: (file: BackingFile) => FileStatus
  /** It is durable. */
  readonly applied: () => void
}

/** One that a disk was given; its status is PENDING until it is durable, or has failed. */
export interface AlterationState {
  readonly alteration: Alteration
  status: DiskStatus
}
