// Blocks that are given up, or all written with one block's bytes: what UNMAP and WRITE SAME need (SBC-3, sections 5.28, 5.38, 5.39).
// All of a list is checked before anything is done.

import { type BlockJob, PatternJob, UnmapJob } from './block-job.ts'
import { u16, u32, u64 } from './cdb.ts'
import type { BlockLimits } from './inquiry.ts'
import type { ScsiRequest } from './scsi-request.ts'
import { ScsiStatus } from './opcodes.ts'
import { Sense, endWith, fail } from './sense.ts'
import { succeed, takeParameters } from './transfer.ts'

/** Bytes that an UNMAP gives up at most: what a disk in memory clears within some tens of milliseconds. */
const UNMAP_BYTES_MAX = 256 * 1024 * 1024
const UNMAP_RANGES_MAX = 256
/** Bytes that a WRITE SAME fills at most: no more than a guest waits for on a disk of few operations a second, where they count. */
const WRITE_SAME_BYTES_MAX = 1024 * 1024

/** What a disk with blocks of that size states in its VPD page 0xB0. */
export function limitsFor(blockBytes: number): BlockLimits {
  return {
    unmapBlocksMax: UNMAP_BYTES_MAX / blockBytes,
    unmapRangesMax: UNMAP_RANGES_MAX,
    writeSameBlocksMax: WRITE_SAME_BYTES_MAX / blockBytes,
  }
}

const HEADER_BYTES = 8
const DESCRIPTOR_BYTES = 16
/** Bytes of the longest list of an UNMAP. */
export const UNMAP_LIST_BYTES_MAX: number = HEADER_BYTES + UNMAP_RANGES_MAX * DESCRIPTOR_BYTES

/** Jobs of 4 KiB, and of 64 KiB: what guests can make a unit keep in memory is 4 MiB. */
const UNMAP_JOBS_MAX = 512
const PATTERN_JOBS_MAX = 32

/** The jobs of one unit: made when they are first needed, used again, and bounded. Null: all are in use. */
export class JobPool {
  readonly #unmaps: UnmapJob[] = []
  readonly #patterns: PatternJob[] = []
  #unmapCount = 0
  #patternCount = 0

  takeUnmap(): UnmapJob | null {
    if (this.#unmaps.length === 0 && this.#unmapCount < UNMAP_JOBS_MAX) {
      this.#unmapCount += 1
      return new UnmapJob(UNMAP_RANGES_MAX, this.#unmaps)
    }
    return this.#unmaps.pop() ?? null
  }

  takePattern(): PatternJob | null {
    if (this.#patterns.length === 0 && this.#patternCount < PATTERN_JOBS_MAX) {
      this.#patternCount += 1
      return new PatternJob(this.#patterns)
    }
    return this.#patterns.pop() ?? null
  }
}

/**
 * Takes the list of an UNMAP. The ranges as a job; null when the command has ended, well or not. `bytes` is room for the list.
 */
export function takeUnmapList(
  request: ScsiRequest,
  bytes: Uint8Array,
  blockCount: number,
  limits: BlockLimits,
  pool: JobPool,
): BlockJob | null {
  const length = u16(request.cdb, 7)
  if (length === 0) {
    succeed(request)
    return null
  }
  if (length < HEADER_BYTES) return refuse(request, Sense.PARAMETER_LIST_LENGTH_ERROR)
  if (length > UNMAP_LIST_BYTES_MAX) return refuse(request, Sense.INVALID_FIELD_IN_PARAMETER_LIST)
  if (!takeParameters(request, bytes, length)) return null
  const listBytes = u16(bytes, 2)
  if (u16(bytes, 0) + 2 > length || listBytes + HEADER_BYTES > length) {
    return refuse(request, Sense.PARAMETER_LIST_LENGTH_ERROR)
  }
  const end = HEADER_BYTES + Math.floor(listBytes / DESCRIPTOR_BYTES) * DESCRIPTOR_BYTES
  let total = 0
  for (let at = HEADER_BYTES; at < end; at += DESCRIPTOR_BYTES) {
    const count = u32(bytes, at + 8)
    if (u64(bytes, at) + count > blockCount) return refuse(request, Sense.LBA_OUT_OF_RANGE)
    total += count
  }
  if (total > limits.unmapBlocksMax) return refuse(request, Sense.INVALID_FIELD_IN_PARAMETER_LIST)
  const job = pool.takeUnmap()
  if (job === null) {
    endWith(request, ScsiStatus.TASK_SET_FULL)
    return null
  }
  job.begin()
  for (let at = HEADER_BYTES; at < end; at += DESCRIPTOR_BYTES) {
    const count = u32(bytes, at + 8)
    if (count > 0) job.add(u64(bytes, at), count)
  }
  return job
}

function refuse(request: ScsiRequest, sense: Sense): null {
  fail(request, sense)
  return null
}
