// PERSISTENT RESERVE IN and OUT (SPC-4, sections 6.15 and 6.16): the bytes around what `reservations.ts` keeps.

import { putU16, putU32, u16, u32 } from './cdb.ts'
import type { Nexus } from './nexus.ts'
import {
  REGISTRATIONS_MAX,
  type PersistentReservations,
  isReservationType,
} from './reservations.ts'
import type { ScsiRequest } from './scsi-request.ts'
import { Sense, conflict, fail } from './sense.ts'
import { respond, succeed, takeParameters } from './transfer.ts'

const InAction = { READ_KEYS: 0, READ_RESERVATION: 1, REPORT_CAPABILITIES: 2 } as const
const OutAction = {
  REGISTER: 0,
  RESERVE: 1,
  RELEASE: 2,
  CLEAR: 3,
  PREEMPT: 4,
  PREEMPT_AND_ABORT: 5,
  REGISTER_AND_IGNORE_EXISTING_KEY: 6,
} as const

const PARAMETER_LIST_BYTES = 24
/** Bytes of an answer: a header, and a key for each registration. */
const RESERVE_IN_BYTES_MAX = 8 + 8 * REGISTRATIONS_MAX
const CAPABILITIES_BYTES = 8
/** Type mask valid. */
const TMV = 0x80
/** Types 1, 3, 5, 6, 7 (byte 4) and 8 (byte 5). */
const TYPES = 0xea01

/** Answers PERSISTENT RESERVE IN. `bytes` is room to compose in. */
export function reserveIn(
  request: ScsiRequest,
  reservations: PersistentReservations,
  bytes: Uint8Array,
): void {
  const cdb = request.cdb
  const allocation = u16(cdb, 7)
  bytes.fill(0, 0, RESERVE_IN_BYTES_MAX)
  putU32(bytes, 0, reservations.generation)
  switch (cdb[1]! & 0x1f) {
    case InAction.READ_KEYS: {
      const keys = reservations.keys
      putU32(bytes, 4, keys.length * 8)
      for (const [index, key] of keys.entries()) putKey(bytes, 8 + index * 8, key)
      return respond(request, bytes, 8 + keys.length * 8, allocation)
    }
    case InAction.READ_RESERVATION: {
      const reservation = reservations.reservation
      if (reservation === null) return respond(request, bytes, 8, allocation)
      putU32(bytes, 4, 16)
      putKey(bytes, 8, reservations.holderKey)
      bytes[21] = reservation.type
      return respond(request, bytes, 24, allocation)
    }
    case InAction.REPORT_CAPABILITIES:
      putU32(bytes, 0, 0)
      putU16(bytes, 0, CAPABILITIES_BYTES)
      bytes[3] = TMV
      putU16(bytes, 4, TYPES)
      return respond(request, bytes, CAPABILITIES_BYTES, allocation)
    default:
      return fail(request, Sense.INVALID_FIELD_IN_CDB)
  }
}

/**
 * Does PERSISTENT RESERVE OUT. `bytes` is room for the parameter list. The initiators whose commands under way are to be aborted.
 */
export function reserveOut(
  request: ScsiRequest,
  nexus: Nexus,
  reservations: PersistentReservations,
  bytes: Uint8Array,
): readonly number[] {
  const action = request.cdb[1]! & 0x1f
  const lengthBytes = u32(request.cdb, 5)
  if (action > OutAction.REGISTER_AND_IGNORE_EXISTING_KEY) {
    fail(request, Sense.INVALID_FIELD_IN_CDB)
    return NOBODY
  }
  if (lengthBytes !== PARAMETER_LIST_BYTES) {
    fail(request, Sense.PARAMETER_LIST_LENGTH_ERROR)
    return NOBODY
  }
  if (!takeParameters(request, bytes, lengthBytes)) return NOBODY
  // Neither other initiators' ports nor a memory that outlives the unit.
  if (bytes[20] !== 0) {
    fail(request, Sense.INVALID_FIELD_IN_PARAMETER_LIST)
    return NOBODY
  }
  return perform(request, action, nexus.initiator, reservations, key(bytes, 0), key(bytes, 8))
}

function perform(
  request: ScsiRequest,
  action: number,
  initiator: number,
  reservations: PersistentReservations,
  own: bigint,
  other: bigint,
): readonly number[] {
  const registered = reservations.keyOf(initiator)
  if (action === OutAction.REGISTER || action === OutAction.REGISTER_AND_IGNORE_EXISTING_KEY) {
    if (action === OutAction.REGISTER && registered !== own) conflict(request)
    else if (reservations.register(initiator, other)) succeed(request)
    else fail(request, Sense.INSUFFICIENT_REGISTRATION_RESOURCES)
    return NOBODY
  }
  if (registered === 0n || registered !== own) {
    conflict(request)
    return NOBODY
  }
  if (action === OutAction.CLEAR) {
    reservations.clear(initiator)
    succeed(request)
    return NOBODY
  }
  // Scope 0, the whole unit, in the upper half of the byte.
  const type = request.cdb[2]!
  if (!isReservationType(type)) {
    fail(request, Sense.INVALID_FIELD_IN_CDB)
    return NOBODY
  }
  switch (action) {
    case OutAction.RESERVE:
      if (reservations.reserve(initiator, type)) succeed(request)
      else conflict(request)
      return NOBODY
    case OutAction.RELEASE:
      if (reservations.release(initiator, type)) succeed(request)
      else fail(request, Sense.INVALID_RELEASE_OF_PERSISTENT_RESERVATION)
      return NOBODY
    default: {
      if (other === 0n && !reservations.isOfAllRegistrants) {
        fail(request, Sense.INVALID_FIELD_IN_PARAMETER_LIST)
        return NOBODY
      }
      const lost = reservations.preempt(initiator, other, type)
      if (lost === null) conflict(request)
      else succeed(request)
      return action === OutAction.PREEMPT_AND_ABORT ? (lost ?? NOBODY) : NOBODY
    }
  }
}

const NOBODY: readonly number[] = []

function key(bytes: Uint8Array, at: number): bigint {
  return (BigInt(u32(bytes, at)) << 32n) | BigInt(u32(bytes, at + 4))
}

function putKey(bytes: Uint8Array, at: number, key: bigint): void {
  putU32(bytes, at, Number(key >> 32n))
  putU32(bytes, at + 4, Number(key & 0xffff_ffffn))
}
