// The two headers. Only one is current: the valid one with the higher sequence number (MS-VHDX 2.2.2). An update writes the other
// one, so that a torn write leaves the current one whole; after a sync the same is written once more, so that both are good.

import { assert } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

import { FileStatus, type BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import { crc32c } from './crc32c.ts'
import { readField } from './file-access.ts'
import {
  FILE_SIGNATURE,
  FIRST_STRUCTURE_OFFSET,
  HEADER_BYTES,
  HEADER_OFFSETS,
  HEADER_SIGNATURE,
  Header,
  LOG_BYTES_MAX,
  MIB,
} from './format.ts'

const SEQUENCE_MAX = 2n ** 64n - 1n
const CHECKSUM_AT = Header.at.checksum

/** What one header says. */
export interface HeaderValues {
  readonly sequenceNumber: bigint
  readonly fileWriteGuid: Guid
  readonly dataWriteGuid: Guid
  /** Zeros: the log is empty. */
  readonly logGuid: Guid
  readonly logOffset: number
  readonly logLength: number
}

/** What was read of both, by slot: 0 and 1. */
export interface HeadersRead {
  readonly current: HeaderValues
  readonly currentSlot: 0 | 1
  /** Why the other one is not valid; empty when it is. */
  readonly otherProblem: string
}

/** Reads the identifier and both headers. Throws an `ImageError`. */
export function readHeaders(file: BackingFile): HeadersRead {
  const signature = readField(file, 'file identifier', 0, FILE_SIGNATURE.length)
  if (!FILE_SIGNATURE.every((byte, at) => signature[at] === byte)) {
    throw new ImageError(file.name, 'file identifier', 'it does not say "vhdxfile"')
  }
  const read = [readHeader(file, 0), readHeader(file, 1)] as const
  const slot = currentSlot(file, read)
  const current = read[slot]
  const other = read[slot === 0 ? 1 : 0]
  if (typeof current === 'string') throw new ImageError(file.name, `header ${slot + 1}`, current)
  checkLog(file, `header ${slot + 1}`, current)
  return { current, currentSlot: slot, otherProblem: typeof other === 'string' ? other : '' }
}

/** Bytes of a header. */
export function encodeHeader(values: HeaderValues): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  Header.encode(view, 0, {
    signature: HEADER_SIGNATURE,
    checksum: 0,
    sequenceNumber: values.sequenceNumber,
    fileWriteGuid: values.fileWriteGuid,
    dataWriteGuid: values.dataWriteGuid,
    logGuid: values.logGuid,
    logVersion: 0,
    version: 1,
    logLength: values.logLength,
    logOffset: BigInt(values.logOffset),
  })
  view.setUint32(CHECKSUM_AT, crc32c(bytes, 0, HEADER_BYTES, CHECKSUM_AT), true)
  return bytes
}

/** The headers of an open file: which is current, and the writing of the other. */
export class HeaderPair {
  #current: HeaderValues
  #slot: 0 | 1

  constructor(read: HeadersRead) {
    this.#current = read.current
    this.#slot = read.currentSlot
  }

  get current(): HeaderValues {
    return this.#current
  }

  /**
   * Writes new GUIDs into the copy that is not current, and makes it the current one. The next call must wait for a sync of this
   * one: two torn headers are none.
   */
  write(file: BackingFile, guids: Partial<HeaderGuids>): FileStatus {
    assert(
      this.#current.sequenceNumber < SEQUENCE_MAX,
      'Headers at their last number open read-only.',
    )
    const next: HeaderValues = {
      ...this.#current,
      ...guids,
      sequenceNumber: this.#current.sequenceNumber + 1n,
    }
    const slot = this.#slot === 0 ? 1 : 0
    const status = file.write(HEADER_OFFSETS[slot], encodeHeader(next), 0, HEADER_BYTES)
    if (status !== FileStatus.OK) return status
    this.#current = next
    this.#slot = slot
    return FileStatus.OK
  }
}

export type HeaderGuids = Pick<HeaderValues, 'fileWriteGuid' | 'dataWriteGuid' | 'logGuid'>

/** True when so many updates are left: nobody gets there by using a disk, only by being handed such a file. */
export function hasSequenceRoom(values: HeaderValues): boolean {
  return values.sequenceNumber < SEQUENCE_MAX - 2n ** 32n
}

/** Its values, or what is wrong with it. */
function readHeader(file: BackingFile, slot: 0 | 1): HeaderValues | string {
  const field = `header ${slot + 1}`
  const bytes = readField(file, field, HEADER_OFFSETS[slot], HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  const header = Header.decode(view)
  if (header.signature !== HEADER_SIGNATURE) return 'it does not say "head"'
  const checksum = crc32c(bytes, 0, HEADER_BYTES, CHECKSUM_AT)
  if (header.checksum !== checksum) return 'its checksum is wrong'
  if (header.version !== 1) return `version ${header.version}: only 1 is known`
  if (header.logVersion !== 0) return `log version ${header.logVersion}: only 0 is known`
  return { ...header, logOffset: Number(header.logOffset) }
}

function currentSlot(
  file: BackingFile,
  [first, second]: readonly [HeaderValues | string, HeaderValues | string],
): 0 | 1 {
  if (typeof first === 'string') {
    if (typeof second === 'string') {
      throw new ImageError(file.name, 'headers', `neither is good: 1: ${first}; 2: ${second}`)
    }
    return 1
  }
  if (typeof second === 'string' || first.sequenceNumber > second.sequenceNumber) return 0
  if (first.sequenceNumber < second.sequenceNumber) return 1
  // Disk2vhd writes the same header twice (as QEMU's reader notes); two that differ leave no way to tell.
  const same =
    first.fileWriteGuid === second.fileWriteGuid &&
    first.dataWriteGuid === second.dataWriteGuid &&
    first.logGuid === second.logGuid &&
    first.logOffset === second.logOffset &&
    first.logLength === second.logLength
  if (!same) {
    throw new ImageError(
      file.name,
      'headers',
      'both have the same sequence number, and they differ',
    )
  }
  return 0
}

function checkLog(file: BackingFile, field: string, header: HeaderValues): void {
  const { logOffset, logLength } = header
  if (logLength === 0 || logLength % MIB !== 0) {
    throw new ImageError(file.name, `${field}: log length`, `${logLength} is not whole MiB`)
  }
  if (logLength > LOG_BYTES_MAX) {
    const problem = `${logLength} bytes: more than the ${LOG_BYTES_MAX} that are read here`
    throw new ImageError(file.name, `${field}: log length`, problem)
  }
  if (logOffset < FIRST_STRUCTURE_OFFSET || logOffset % MIB !== 0) {
    throw new ImageError(file.name, `${field}: log offset`, `${logOffset} is no place for a log`)
  }
  if (logOffset + logLength > file.sizeBytes) {
    throw new ImageError(file.name, `${field}: log offset`, 'the file ends before the log does')
  }
}
