// Between a command's pieces and the target's own bytes: answers go out, parameter lists come in, once. The initiator's room, what the
// CDB allows and what there is to say are three numbers.

import type { ScatterList } from '../backends/scatter-list.ts'
import { ScsiStatus } from './opcodes.ts'
import { DataDirection, ScsiOutcome, type ScsiRequest } from './scsi-request.ts'
import { Sense, fail } from './sense.ts'

/** Bytes that the initiator takes: pages of a request that goes the other way are not for writing. HOT. */
export function roomForData(request: ScsiRequest): number {
  return request.direction === DataDirection.FROM_DEVICE ? request.data.totalBytes : 0
}

/** Bytes that the initiator gives. HOT. */
export function givenData(request: ScsiRequest): number {
  return request.direction === DataDirection.TO_DEVICE ? request.data.totalBytes : 0
}

/** Ends a command well. */
export function succeed(request: ScsiRequest): void {
  request.scsiStatus = ScsiStatus.GOOD
  request.outcome = ScsiOutcome.DONE
}

/** Ends a command with the first `lengthBytes` of `bytes` for an answer, as much as the CDB allows and the initiator has room for. */
export function respond(
  request: ScsiRequest,
  bytes: Uint8Array,
  lengthBytes: number,
  allocationBytes: number,
): void {
  const asked = Math.min(lengthBytes, allocationBytes)
  const moved = Math.min(asked, roomForData(request))
  scatter(request.data, bytes, moved)
  request.askedBytes = asked
  request.transferredBytes = moved
  succeed(request)
}

/**
 * Copies a parameter list of `lengthBytes` into `bytes`, once: what is looked at afterwards is the copy. False, and the command has
 * failed, when the initiator gives less.
 */
export function takeParameters(
  request: ScsiRequest,
  bytes: Uint8Array,
  lengthBytes: number,
): boolean {
  request.askedBytes = lengthBytes
  if (givenData(request) < lengthBytes) {
    fail(request, Sense.PARAMETER_LIST_LENGTH_ERROR)
    return false
  }
  gather(request.data, bytes, lengthBytes)
  request.transferredBytes = lengthBytes
  return true
}

/** Makes a list end after `lengthBytes`, which it has. HOT. */
export function shorten(list: ScatterList, lengthBytes: number): void {
  let left = lengthBytes
  let index = 0
  while (left > 0) {
    const piece = list.lengths[index]!
    if (piece > left) list.lengths[index] = left
    left -= Math.min(piece, left)
    index += 1
  }
  list.count = index
  list.totalBytes = lengthBytes
}

function scatter(list: ScatterList, from: Uint8Array, lengthBytes: number): void {
  const to = list.bytes
  let done = 0
  for (let index = 0; done < lengthBytes; index++) {
    const address = list.addresses[index]!
    const length = Math.min(list.lengths[index]!, lengthBytes - done)
    for (let at = 0; at < length; at++) to[address + at] = from[done + at]!
    done += length
  }
}

function gather(list: ScatterList, to: Uint8Array, lengthBytes: number): void {
  const from = list.bytes
  let done = 0
  for (let index = 0; done < lengthBytes; index++) {
    const address = list.addresses[index]!
    const length = Math.min(list.lengths[index]!, lengthBytes - done)
    for (let at = 0; at < length; at++) to[done + at] = from[address + at]!
    done += length
  }
}
