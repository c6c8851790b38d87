// Sense data as a driver reads it: fixed format (SPC-4, section 4.5.3).

import { StorOutcome } from './stor-request.ts'
import type { StorRequest } from './stor-request.ts'

export const SenseKey = {
  NO_SENSE: 0,
  RECOVERED_ERROR: 1,
  NOT_READY: 2,
  MEDIUM_ERROR: 3,
  HARDWARE_ERROR: 4,
  ILLEGAL_REQUEST: 5,
  UNIT_ATTENTION: 6,
  DATA_PROTECT: 7,
} as const
export type SenseKey = (typeof SenseKey)[keyof typeof SenseKey]

const KEY_AT = 2
const KEY_MASK = 0xf
const ASC_AT = 12
const ASCQ_AT = 13
const ASC_CAPACITY_CHANGED = 0x2a
const ASCQ_CAPACITY_CHANGED = 0x09
const MEDIUM_MAY_HAVE_CHANGED = 0x2800
const ASC_TARGET_CHANGED = 0x3f

const KEY_TEXTS: readonly string[] = [
  'no sense',
  'recovered error',
  'not ready',
  'medium error',
  'hardware error',
  'illegal request',
  'unit attention',
  'data protect',
]

/** Sense key, or -1 without sense data. */
export function senseKey(request: StorRequest): number {
  return request.senseLength > KEY_AT ? request.sense[KEY_AT]! & KEY_MASK : -1
}

/** Additional sense code and its qualifier, as `asc << 8 | ascq`; 0 without. */
export function additionalSense(request: StorRequest): number {
  return request.senseLength > ASCQ_AT ? (request.sense[ASC_AT]! << 8) | request.sense[ASCQ_AT]! : 0
}

/** True when the unit says that another medium may be in it. */
export function saysMediumChanged(request: StorRequest): boolean {
  return additionalSense(request) === MEDIUM_MAY_HAVE_CHANGED
}

/** True when the unit says that its size or its medium, or what units there are, has changed. */
export function saysUnitsChanged(request: StorRequest): boolean {
  const sense = additionalSense(request)
  if (sense >> 8 === ASC_TARGET_CHANGED || sense === MEDIUM_MAY_HAVE_CHANGED) return true
  return sense === ((ASC_CAPACITY_CHANGED << 8) | ASCQ_CAPACITY_CHANGED)
}

/** Why a request failed, in one line. */
export function failureText(request: StorRequest): string {
  switch (request.outcome) {
    case StorOutcome.PENDING:
      return 'it has not ended'
    case StorOutcome.OK:
      return 'it did not fail'
    case StorOutcome.CHECK_CONDITION: {
      const key = senseKey(request)
      const additional = additionalSense(request).toString(16).padStart(4, '0')
      return key < 0 ? 'check condition' : `${KEY_TEXTS[key] ?? `sense key ${key}`} ${additional}`
    }
    case StorOutcome.OTHER_STATUS:
      return `SCSI status 0x${request.scsiStatus.toString(16)}`
    case StorOutcome.NO_LOGICAL_UNIT:
      return 'no logical unit'
    case StorOutcome.ABORTED:
      return 'given up by a reset'
    case StorOutcome.REFUSED:
      return 'the host refused the request'
    case StorOutcome.GONE:
      return 'the controller is gone'
  }
}
