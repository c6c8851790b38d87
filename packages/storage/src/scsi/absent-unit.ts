// What a target answers where nobody is. Linux scans by it: INQUIRY with peripheral qualifier 3 means "look on", and anything that
// fails otherwise makes it give up a LUN that it knows.

import { u16 } from './cdb.ts'
import { type UnitIdentity, MICROSOFT_DISK, composeInquiry } from './inquiry.ts'
import { NO_PERIPHERAL, PeripheralType, ScsiOpcode } from './opcodes.ts'
import { ScsiOutcome, type ScsiRequest } from './scsi-request.ts'
import { Sense, fail } from './sense.ts'
import { respond } from './transfer.ts'

const STRINGS_AT = 8
const STRINGS_END = 36
const INQUIRY_CDB_BYTES = 6

/** Nobody looks like a disk. */
const NOBODY: UnitIdentity = {
  ...MICROSOFT_DISK,
  peripheralType: PeripheralType.DISK,
  removable: false,
  serialNumber: '',
  uniqueId: new Uint8Array(16),
}

/** Ends a command for a LUN where nobody is. `bytes` is room to compose in. Strings are zero but on LUN 0, as Hyper-V has it. */
export function answerForNobody(request: ScsiRequest, bytes: Uint8Array): void {
  const { cdb } = request
  if (cdb[0] !== ScsiOpcode.INQUIRY) {
    request.outcome = ScsiOutcome.NO_LOGICAL_UNIT
  } else if (request.cdbLength < INQUIRY_CDB_BYTES || cdb[1] !== 0 || cdb[2] !== 0) {
    fail(request, Sense.INVALID_FIELD_IN_CDB)
    request.outcome = ScsiOutcome.INVALID_REQUEST
  } else {
    const length = composeInquiry(bytes, NOBODY)
    bytes[0] = NO_PERIPHERAL
    if (request.lun !== 0) bytes.fill(0, STRINGS_AT, STRINGS_END)
    respond(request, bytes, length, u16(cdb, 3))
  }
}
