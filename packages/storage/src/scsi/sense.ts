// Sense data: why a command failed, in the fixed format of SPC-4, section 4.5.3.
//
//   byte  0      1  2    3..6         7           8..11             12   13    14..17
//         0x70   0  key  information  10 (bytes   command specific  ASC  ASCQ  0
//                        0            that follow) 0

import { ScsiStatus } from './opcodes.ts'
import { SENSE_BYTES, ScsiOutcome, type ScsiRequest } from './scsi-request.ts'

/** A sense key, an additional sense code and its qualifier in one number: 0xKKAAQQ. */
export const Sense = {
  NO_SENSE: 0x00_00_00,
  MEDIUM_NOT_PRESENT_TRAY_CLOSED: 0x02_3a_01,
  MEDIUM_NOT_PRESENT_TRAY_OPEN: 0x02_3a_02,
  WRITE_ERROR: 0x03_0c_00,
  UNRECOVERED_READ_ERROR: 0x03_11_00,
  PARAMETER_LIST_LENGTH_ERROR: 0x05_1a_00,
  INVALID_COMMAND_OPERATION_CODE: 0x05_20_00,
  LBA_OUT_OF_RANGE: 0x05_21_00,
  INVALID_FIELD_IN_CDB: 0x05_24_00,
  INVALID_FIELD_IN_PARAMETER_LIST: 0x05_26_00,
  INVALID_RELEASE_OF_PERSISTENT_RESERVATION: 0x05_26_04,
  SAVING_PARAMETERS_NOT_SUPPORTED: 0x05_39_00,
  MEDIUM_REMOVAL_PREVENTED: 0x05_53_02,
  INSUFFICIENT_REGISTRATION_RESOURCES: 0x05_55_04,
  MEDIUM_MAY_HAVE_CHANGED: 0x06_28_00,
  BUS_RESET_OCCURRED: 0x06_29_02,
  DEVICE_RESET_OCCURRED: 0x06_29_03,
  MODE_PARAMETERS_CHANGED: 0x06_2a_01,
  RESERVATIONS_PREEMPTED: 0x06_2a_03,
  RESERVATIONS_RELEASED: 0x06_2a_04,
  REGISTRATIONS_PREEMPTED: 0x06_2a_05,
  CAPACITY_DATA_HAS_CHANGED: 0x06_2a_09,
  REPORTED_LUNS_DATA_HAS_CHANGED: 0x06_3f_0e,
  WRITE_PROTECTED: 0x07_27_00,
} as const
export type Sense = (typeof Sense)[keyof typeof Sense]

/** Bytes that follow byte 7. */
const ADDITIONAL_BYTES = SENSE_BYTES - 8
const CURRENT_FIXED = 0x70

/** Writes 18 bytes of sense data at the start of `bytes`. */
export function composeSense(bytes: Uint8Array, sense: Sense): void {
  bytes.fill(0, 0, SENSE_BYTES)
  bytes[0] = CURRENT_FIXED
  bytes[2] = sense >>> 16
  bytes[7] = ADDITIONAL_BYTES
  bytes[12] = (sense >>> 8) & 0xff
  bytes[13] = sense & 0xff
}

/** Ends a command with CHECK CONDITION: nothing of its data has been moved as far as the initiator may rely on it. */
export function fail(request: ScsiRequest, sense: Sense): void {
  composeSense(request.sense, sense)
  request.senseLength = SENSE_BYTES
  request.scsiStatus = ScsiStatus.CHECK_CONDITION
  request.transferredBytes = 0
  request.outcome = ScsiOutcome.DONE
}

/** Ends a command that a reservation forbids. */
export function conflict(request: ScsiRequest): void {
  endWith(request, ScsiStatus.RESERVATION_CONFLICT)
}

/** Ends a command with a status that says all there is to say. */
export function endWith(request: ScsiRequest, status: ScsiStatus): void {
  request.scsiStatus = status
  request.transferredBytes = 0
  request.outcome = ScsiOutcome.DONE
}
