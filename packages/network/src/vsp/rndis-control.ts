// Control messages of RNDIS, and their answers. Cold.

import {
  RNDIS_ALIGNMENT_SHIFT,
  RNDIS_BODY_AT,
  RNDIS_MAX_PACKETS,
  RNDIS_MAX_TRANSFER_BYTES,
  RndisComplete,
  RndisHeader,
  RndisIndicateStatus,
  RndisInitialize,
  RndisInitializeComplete,
  RndisQueryComplete,
  RndisRequest,
  RndisResetComplete,
  RndisStatus,
  RndisType,
} from '../rndis.ts'
import { linkSpeedUnits, queryOid, setOid } from './oids.ts'
import type { OidAdapter } from './oids.ts'

/** What the messages change besides objects. */
export interface RndisAdapter extends OidAdapter {
  isRndisUp: boolean
}

/**
 * Serves one message, `bytes`, which is private. The answer; null for a message that has none (HALT); undefined for what makes no
 * sense.
 */
export function serveControl(
  adapter: RndisAdapter,
  bytes: Uint8Array,
): Uint8Array | null | undefined {
  if (bytes.length < RndisHeader.size) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { type, lengthBytes } = RndisHeader.decode(view)
  if (lengthBytes < RndisHeader.size || lengthBytes > bytes.length) return undefined
  switch (type) {
    case RndisType.INITIALIZE:
      if (lengthBytes < RndisInitialize.size) return undefined
      adapter.isRndisUp = true
      return initializeComplete(view.getUint32(RndisInitialize.at.requestId, true))
    case RndisType.HALT:
      adapter.isRndisUp = false
      adapter.packetFilter = 0
      return null
    case RndisType.QUERY:
    case RndisType.SET:
      return serveObject(adapter, bytes.subarray(0, lengthBytes), view)
    case RndisType.RESET:
      adapter.packetFilter = 0
      return RndisResetComplete.pack({
        type: RndisType.RESET_COMPLETE,
        lengthBytes: RndisResetComplete.size,
        status: RndisStatus.SUCCESS,
        addressingReset: 1,
      })
    case RndisType.KEEPALIVE:
      if (lengthBytes < RndisHeader.size + 4) return undefined
      return complete(RndisType.KEEPALIVE_COMPLETE, view.getUint32(8, true), RndisStatus.SUCCESS)
    default:
      return undefined
  }
}

/** INDICATE_STATUS of this status. */
export function indicateStatus(status: number): Uint8Array {
  return RndisIndicateStatus.pack({
    type: RndisType.INDICATE_STATUS,
    lengthBytes: RndisIndicateStatus.size,
    status,
    infoLength: 0,
    infoOffset: 0,
  })
}

/** The link's new speed, where Linux looks for it: one word behind the status (netvsc_linkstatus_callback). */
export function indicateLinkSpeed(bitsPerSecond: number): Uint8Array {
  const bytes = new Uint8Array(RndisIndicateStatus.size + 4)
  const view = new DataView(bytes.buffer)
  RndisIndicateStatus.encode(view, 0, {
    type: RndisType.INDICATE_STATUS,
    lengthBytes: bytes.length,
    status: RndisStatus.LINK_SPEED_CHANGE,
    infoLength: 4,
    infoOffset: RndisIndicateStatus.size - RNDIS_BODY_AT,
  })
  view.setUint32(RndisIndicateStatus.size, linkSpeedUnits(bitsPerSecond), true)
  return bytes
}

function serveObject(
  adapter: RndisAdapter,
  bytes: Uint8Array,
  view: DataView,
): Uint8Array | undefined {
  if (bytes.length < RndisRequest.size) return undefined
  const { type, requestId, oid, infoLength, infoOffset } = RndisRequest.decode(view)
  if (type === RndisType.QUERY) {
    const { status, bytes: info } = queryOid(adapter, oid)
    return queryComplete(requestId, status, info)
  }
  const bodyBytes = bytes.length - RNDIS_BODY_AT
  const isThere = infoOffset <= bodyBytes && infoLength <= bodyBytes - infoOffset
  if (!isThere) return complete(RndisType.SET_COMPLETE, requestId, RndisStatus.INVALID_DATA)
  const from = RNDIS_BODY_AT + infoOffset
  const status = setOid(adapter, oid, bytes.slice(from, from + infoLength))
  return complete(RndisType.SET_COMPLETE, requestId, status)
}

function initializeComplete(requestId: number): Uint8Array {
  return RndisInitializeComplete.pack({
    type: RndisType.INITIALIZE_COMPLETE,
    lengthBytes: RndisInitializeComplete.size,
    requestId,
    status: RndisStatus.SUCCESS,
    major: 1,
    minor: 0,
    deviceFlags: 1,
    medium: 0,
    maxPackets: RNDIS_MAX_PACKETS,
    maxTransferBytes: RNDIS_MAX_TRANSFER_BYTES,
    alignmentShift: RNDIS_ALIGNMENT_SHIFT,
  })
}

function queryComplete(requestId: number, status: number, info: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RndisQueryComplete.size + info.length)
  RndisQueryComplete.encode(new DataView(bytes.buffer), 0, {
    type: RndisType.QUERY_COMPLETE,
    lengthBytes: bytes.length,
    requestId,
    status,
    infoLength: info.length,
    infoOffset: RndisQueryComplete.size - RNDIS_BODY_AT,
  })
  bytes.set(info, RndisQueryComplete.size)
  return bytes
}

function complete(type: number, requestId: number, status: number): Uint8Array {
  return RndisComplete.pack({ type, lengthBytes: RndisComplete.size, requestId, status })
}
