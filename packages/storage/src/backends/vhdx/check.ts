// Looking an image over: everything that is wrong with it, not only the first thing. Nothing is written.

import { NIL_GUID } from '@guestyard/hvdef'

import type { BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import { BlockTable, entryName } from './block-table.ts'
import { FileSpace } from './file-space.ts'
import { BlockState, FILE_MIB_MAX, MIB } from './format.ts'
import { readHeaders } from './header.ts'
import { claimBlocks, claimStructures, type Structures } from './image.ts'
import { readReplay } from './log-replay.ts'
import { readMetadata } from './metadata.ts'
import { readRegions } from './regions.ts'
import { ReplayedFile } from './replayed-file.ts'

/** So many findings are listed at most. */
const FINDINGS_MAX = 1000

/** One thing that was found. */
export interface VhdxFinding {
  /** `error`: the file is damaged. `note`: it is sound, and not as it is after a clean close. */
  readonly severity: 'error' | 'note'
  readonly field: string
  readonly problem: string
}

export interface VhdxCheck {
  /** Errors and notes in the order of the file's structures; empty: all is well. At most 1000. */
  readonly findings: readonly VhdxFinding[]
  /** Payload blocks that have space in the file, and all of the disk's. 0 where the BAT can't be reached. */
  readonly allocatedBlocks: number
  readonly totalBlocks: number
  /** Bytes of the file that nothing is in. */
  readonly unusedBytes: number
}

/** Checks a file. Its parents are not looked at. Throws only where the file can't be read at all. */
export function checkVhdx(file: BackingFile): VhdxCheck {
  const findings: VhdxFinding[] = []
  const add = (severity: 'error' | 'note', field: string, problem: string): void => {
    if (findings.length < FINDINGS_MAX) findings.push({ severity, field, problem })
  }
  const structures = structuresOf(file, add)
  if (structures === null) {
    return { findings, allocatedBlocks: 0, totalBlocks: 0, unusedBytes: 0 }
  }
  const { view, metadata, regions } = structures
  const table = attempt(add, () => BlockTable.of(view, metadata, regions.bat))
  if (table === null) return { findings, allocatedBlocks: 0, totalBlocks: 0, unusedBytes: 0 }
  const space = new FileSpace(Math.ceil(view.sizeBytes / MIB))
  const onProblem = (field: string, problem: string): void => add('error', field, problem)
  claimStructures(structures, space, onProblem)
  attempt(add, () => {
    table.read(view, regions.bat, (index, problem) => onProblem(entryName(table, index), problem))
  })
  claimBlocks(view, table, space, onProblem)
  let allocatedBlocks = 0
  for (let block = 0; block < table.blockCount; block += 1) {
    if ((table.entry(table.indexOf(block)) & 7) >= BlockState.FULLY_PRESENT) allocatedBlocks += 1
  }
  return {
    findings,
    allocatedBlocks,
    totalBlocks: table.blockCount,
    unusedBytes: space.freeMib * MIB,
  }
}

type Add = (severity: 'error' | 'note', field: string, problem: string) => void

/** The structures, or null where one that the rest hangs on is bad. */
function structuresOf(file: BackingFile, add: Add): Structures | null {
  if (file.sizeBytes > FILE_MIB_MAX * MIB) {
    add('error', 'file', `${file.sizeBytes} bytes are more than 256 TiB`)
    return null
  }
  const headers = attempt(add, () => readHeaders(file))
  if (headers === null) return null
  if (headers.otherProblem !== '') {
    const other = headers.currentSlot === 0 ? 2 : 1
    add('note', `header ${other}`, `${headers.otherProblem}; the other one is good`)
  }
  let replay = null
  if (headers.current.logGuid !== NIL_GUID) {
    replay = attempt(add, () => readReplay(file, headers.current))
    if (replay === null) return null
    add('note', 'log', `${replay.pages.size} pages are to be replayed`)
  }
  const view = replay === null ? file : new ReplayedFile(file, replay)
  const regions = attempt(add, () => readRegions(view))
  if (regions === null) return null
  if (regions.copyProblem !== '') add('error', 'region table', regions.copyProblem)
  const metadata = attempt(add, () => readMetadata(view, regions.metadata))
  return metadata === null ? null : { headers, replay, view, regions, metadata }
}

/** What `read` gives, or null and a finding where it throws an `ImageError`. */
function attempt<T>(add: Add, read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ImageError)) throw error
    add('error', error.field, error.problem)
    return null
  }
}
