// Control messages that a driver sends. Cold.

import {
  HashInfo,
  NDIS_RSS_KEY_BYTES,
  NDIS_RSS_TABLE_ENTRIES,
  NdisObjectType,
  NdisRssParameters,
  Oid,
  RNDIS_BODY_AT,
  RndisInitialize,
  RndisQueryComplete,
  RndisRequest,
  RndisType,
} from '../rndis.ts'
import type { RequestState } from './netvsc-state.ts'

const MAX_TRANSFER_BYTES = 0x4000
const NOTHING = new Uint8Array(0)

/** What is asked in a state. `channels`: those that frames are spread over. */
export function controlRequest(
  state: RequestState,
  id: number,
  channels: number,
  packetFilter: number,
): Uint8Array {
  switch (state) {
    case 'rndis':
      return initializeRequest(id)
    case 'address':
      return objectRequest(RndisType.QUERY, id, Oid.PERMANENT_ADDRESS, NOTHING)
    case 'link':
      return objectRequest(RndisType.QUERY, id, Oid.MEDIA_CONNECT_STATUS, NOTHING)
    case 'spread': {
      const parameters = rssParameters(channels, NDIS_RSS_TABLE_ENTRIES)
      return objectRequest(RndisType.SET, id, Oid.RECEIVE_SCALE_PARAMETERS, parameters)
    }
    case 'filter': {
      const filter = Uint8Array.of(packetFilter, 0, 0, 0)
      return objectRequest(RndisType.SET, id, Oid.CURRENT_PACKET_FILTER, filter)
    }
  }
}

/** Where in an answer of `length` bytes so many bytes of information are, 0 when they are not there. */
export function informationAt(view: DataView, length: number, wanted: number): number {
  if (length < RndisQueryComplete.size) return 0
  const infoLength = view.getUint32(RndisQueryComplete.at.infoLength, true)
  const infoOffset = view.getUint32(RndisQueryComplete.at.infoOffset, true)
  const body = length - RNDIS_BODY_AT
  const isThere = infoOffset <= body && infoLength <= body - infoOffset && infoLength >= wanted
  return isThere ? RNDIS_BODY_AT + infoOffset : 0
}

function initializeRequest(requestId: number): Uint8Array {
  return RndisInitialize.pack({
    type: RndisType.INITIALIZE,
    lengthBytes: RndisInitialize.size,
    requestId,
    major: 1,
    minor: 0,
    maxTransferBytes: MAX_TRANSFER_BYTES,
  })
}

/** QUERY, or SET with information. */
function objectRequest(type: number, requestId: number, oid: number, info: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RndisRequest.size + info.length)
  RndisRequest.encode(new DataView(bytes.buffer), 0, {
    type,
    lengthBytes: bytes.length,
    requestId,
    oid,
    infoLength: info.length,
    infoOffset: RndisRequest.size - RNDIS_BODY_AT,
    vcHandle: 0,
  })
  bytes.set(info, RndisRequest.size)
  return bytes
}

/** The key that Linux uses when nobody says another. */
const DEFAULT_KEY = Uint8Array.of(
  0x6d,
  0x5a,
  0x56,
  0xda,
  0x25,
  0x5b,
  0x0e,
  0xc2,
  0x41,
  0x67,
  0x25,
  0x3d,
  0x43,
  0xa3,
  0x8f,
  0xb0,
  0xd0,
  0xca,
  0x2b,
  0xcb,
  0xae,
  0x7b,
  0x30,
  0xb4,
  0x77,
  0xcb,
  0x2d,
  0xa3,
  0x80,
  0x30,
  0xf2,
  0x0c,
  0x6a,
  0x42,
  0xb7,
  0x3b,
  0xbe,
  0xac,
  0x01,
  0xfa,
)

/** RECEIVE_SCALE_PARAMETERS that deal `entries` hashes out to so many channels. */
function rssParameters(channels: number, entries: number): Uint8Array {
  const tableBytes = entries * 4
  const bytes = new Uint8Array(NdisRssParameters.size + tableBytes + NDIS_RSS_KEY_BYTES)
  const view = new DataView(bytes.buffer)
  const { TOEPLITZ, IPV4, TCP_IPV4, IPV6, TCP_IPV6 } = HashInfo
  NdisRssParameters.encode(view, 0, {
    objectType: NdisObjectType.RSS_PARAMETERS,
    revision: 2,
    sizeBytes: NdisRssParameters.size,
    flags: 0,
    baseProcessor: 0,
    hashInfo: TOEPLITZ | IPV4 | TCP_IPV4 | IPV6 | TCP_IPV6,
    tableBytes,
    tableOffset: NdisRssParameters.size,
    keyBytes: NDIS_RSS_KEY_BYTES,
    keyOffset: NdisRssParameters.size + tableBytes,
  })
  for (let entry = 0; entry < entries; entry += 1) {
    view.setUint32(NdisRssParameters.size + entry * 4, entry % channels, true)
  }
  bytes.set(DEFAULT_KEY, NdisRssParameters.size + tableBytes)
  return bytes
}
