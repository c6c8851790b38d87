// What an upper layer asks of a disk in SCSI commands, in the words of ATA, and ATA's errors as sense data: so that one block layer serves
// both controllers (the idea of SAT-3, "SCSI/ATA Translation"; the few commands that StorVSC's callers send).

import { StorOutcome, type StorRequest } from '../stor-request.ts'
import { AtaError, AtaStatus } from '../../ide/registers.ts'

/** A command that moves blocks. */
export interface AtaTransfer {
  readonly is: 'read' | 'write'
  readonly block: number
  readonly blockCount: number
  readonly durable: boolean
}

/** A command for an ATA disk. */
export type AtaWork =
  | AtaTransfer
  | { readonly is: 'flush' | 'nothing' | 'trim' }
  | { readonly is: 'zero'; readonly block: number; readonly blockCount: number }

const Opcode = {
  TEST_UNIT_READY: 0x00,
  READ_10: 0x28,
  WRITE_10: 0x2a,
  SYNCHRONIZE_CACHE_10: 0x35,
  UNMAP: 0x42,
  READ_16: 0x88,
  WRITE_16: 0x8a,
  SYNCHRONIZE_CACHE_16: 0x91,
  WRITE_SAME_16: 0x93,
} as const
/** WRITE SAME without data: zeros. */
const NO_DATA = 0x01
const FUA = 0x08
const CHECK_CONDITION = 0x02
const SENSE_FIXED = 0x70
const SENSE_BYTES = 18
/** Sense key, additional sense code and its qualifier. */
type Sense = readonly [key: number, asc: number, ascq: number]
export const Failure = {
  /** Invalid command operation code. */
  UNSUPPORTED: [0x05, 0x20, 0x00],
  /** Invalid field in the parameter list. */
  BAD_LIST: [0x05, 0x26, 0x00],
  OUT_OF_RANGE: [0x05, 0x21, 0x00],
  READ_ERROR: [0x03, 0x11, 0x00],
  /** Internal target failure. */
  DEVICE_FAULT: [0x04, 0x44, 0x00],
  /** Aborted command, no additional sense. */
  ABORTED: [0x0b, 0x00, 0x00],
} as const satisfies Record<string, Sense>

/** Null: none that this driver translates. */
export function ataWorkOf({ cdb }: StorRequest): AtaWork | null {
  const view = new DataView(cdb.buffer, cdb.byteOffset)
  const durable = (cdb[1]! & FUA) !== 0
  switch (cdb[0]!) {
    case Opcode.TEST_UNIT_READY:
      return { is: 'nothing' }
    case Opcode.SYNCHRONIZE_CACHE_10:
    case Opcode.SYNCHRONIZE_CACHE_16:
      return { is: 'flush' }
    case Opcode.UNMAP:
      return { is: 'trim' }
    case Opcode.READ_10:
    case Opcode.WRITE_10: {
      const is = cdb[0] === Opcode.READ_10 ? 'read' : 'write'
      return { is, block: view.getUint32(2), blockCount: view.getUint16(7), durable }
    }
    case Opcode.READ_16:
    case Opcode.WRITE_16: {
      const is = cdb[0] === Opcode.READ_16 ? 'read' : 'write'
      const block = view.getUint32(2) * 2 ** 32 + view.getUint32(6)
      return { is, block, blockCount: view.getUint32(10), durable }
    }
    case Opcode.WRITE_SAME_16: {
      if ((cdb[1]! & NO_DATA) === 0) return null
      const block = view.getUint32(2) * 2 ** 32 + view.getUint32(6)
      return { is: 'zero', block, blockCount: view.getUint32(10) }
    }
    default:
      return null
  }
}

/** The request has failed, with this sense. */
export function failRequest(request: StorRequest, [key, asc, ascq]: Sense): void {
  const { sense } = request
  sense.fill(0)
  sense[0] = SENSE_FIXED
  sense[2] = key
  sense[7] = SENSE_BYTES - 8
  sense[12] = asc
  sense[13] = ascq
  request.senseLength = SENSE_BYTES
  request.scsiStatus = CHECK_CONDITION
  request.transferredBytes = 0
  request.outcome = StorOutcome.CHECK_CONDITION
}

/** What a drive's Status and Error registers say. */
export function failureOf(status: number, error: number): Sense {
  if ((status & AtaStatus.DF) !== 0) return Failure.DEVICE_FAULT
  if ((error & AtaError.UNC) !== 0) return Failure.READ_ERROR
  if ((error & AtaError.IDNF) !== 0) return Failure.OUT_OF_RANGE
  return Failure.ABORTED
}
