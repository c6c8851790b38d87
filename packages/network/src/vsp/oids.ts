// What an adapter answers when its guest asks after an object, or sets one. Cold: a handful of times in a guest's life.

import { macBytes, parseMacAddress } from '../mac-address.ts'
import type { MacAddress } from '../mac-address.ts'
import { NvspVersion } from '../protocol.ts'
import {
  HashInfo,
  NDIS_ENCAPSULATION_8023,
  NDIS_OFFLOAD_BYTES,
  NDIS_RSS_DISABLE,
  NDIS_RSS_KEY_BYTES,
  NDIS_RSS_TABLE_ENTRIES,
  NdisChecksum,
  NdisObject,
  NdisObjectType,
  NdisOffload,
  NdisRssCapabilities,
  NdisRssParameters,
  Oid,
  RndisStatus,
} from '../rndis.ts'
import type { Toeplitz } from '../toeplitz.ts'

/** What the objects are of. */
export interface OidAdapter {
  readonly address: MacAddress
  readonly name: string
  readonly mtuBytes: number
  readonly linkBitsPerSecond: number
  readonly isLinkUp: boolean
  readonly nvspVersion: number
  readonly maxSubChannels: number
  /** Channels that are open. */
  readonly channelCount: number
  readonly rss: Rss
  packetFilter: number
  /** The guest wants to be told which checksums are right. */
  tellsChecksums: boolean
  /** The guest takes another address. False when it may not. */
  changeAddress(address: MacAddress): boolean
}

/** How frames are spread over channels. */
export interface Rss {
  isEnabled: boolean
  /** Channel by hash. */
  readonly table: Uint8Array
  entries: number
  readonly hash: Toeplitz
}

/** An answer to a query. */
export interface OidAnswer {
  readonly status: number
  readonly bytes: Uint8Array
}

const NOTHING = new Uint8Array(0)
/** Largest frame that is cut into segments, IP and TCP headers included, and segments there are at least. */
const LSO_BYTES_MAX = 0xffff
const LSO_SEGMENTS_MIN = 2
const LSO_IPV6_OPTIONS = 5
const RSS_CAPABILITY_FLAGS =
  0x0100_0000 |
  HashInfo.TOEPLITZ |
  HashInfo.IPV4 |
  HashInfo.TCP_IPV4 |
  HashInfo.IPV6 |
  HashInfo.TCP_IPV6
const OFFLOAD_UNCHANGED = 0
const OFFLOAD_RECEIVE_ONLY = 3
const OFFLOAD_BOTH = 4
/** An entry of RNDIS_CONFIG_PARAMETER: offsets and lengths of a name and a value in UTF-16. */
const CONFIG_BYTES = 20
const NAME_BYTES_MAX = 512

/** Link speed on the wire: units of 100 bit/s, as many as fit. */
export function linkSpeedUnits(bitsPerSecond: number): number {
  return Math.min(Math.floor(bitsPerSecond / 100), 0xffff_ffff)
}

export function queryOid(adapter: OidAdapter, oid: number): OidAnswer {
  switch (oid) {
    case Oid.SUPPORTED_LIST:
      return answer(u32s(...Object.values(Oid)))
    case Oid.HARDWARE_STATUS:
      return answer(u32s(0))
    case Oid.MAXIMUM_FRAME_SIZE:
      return answer(u32s(adapter.mtuBytes))
    case Oid.PERMANENT_ADDRESS:
    case Oid.CURRENT_ADDRESS:
      return answer(macBytes(adapter.address))
    case Oid.FRIENDLY_NAME:
      return answer(utf16(adapter.name).subarray(0, NAME_BYTES_MAX))
    case Oid.MEDIA_CONNECT_STATUS:
      return answer(u32s(adapter.isLinkUp ? 0 : 1))
    case Oid.LINK_SPEED:
      return answer(u32s(linkSpeedUnits(adapter.linkBitsPerSecond)))
    case Oid.CURRENT_PACKET_FILTER:
      return answer(u32s(adapter.packetFilter))
    case Oid.TCP_OFFLOAD_HARDWARE_CAPABILITIES:
      return answer(offload(adapter.nvspVersion))
    case Oid.RECEIVE_SCALE_CAPABILITIES:
      return adapter.maxSubChannels > 0 ? answer(rssCapabilities(adapter)) : refused()
    default:
      return refused()
  }
}

/** The status of a SET whose information is `bytes`, private. */
export function setOid(adapter: OidAdapter, oid: number, bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (oid) {
    case Oid.CURRENT_PACKET_FILTER:
      if (bytes.length < 4) return RndisStatus.INVALID_LENGTH
      adapter.packetFilter = view.getUint32(0, true)
      return RndisStatus.SUCCESS
    case Oid.TCP_OFFLOAD_PARAMETERS:
      return setOffload(adapter, bytes)
    case Oid.RECEIVE_SCALE_PARAMETERS:
      return setRss(adapter, bytes, view)
    case Oid.RNDIS_CONFIG_PARAMETER:
      return setParameter(adapter, bytes, view)
    default:
      return RndisStatus.NOT_SUPPORTED
  }
}

function offload(nvspVersion: number): Uint8Array {
  const revision = nvspVersion >= NvspVersion.V5 ? 3 : nvspVersion >= NvspVersion.V4 ? 2 : 1
  const sizeBytes = NDIS_OFFLOAD_BYTES[revision - 1] ?? NdisOffload.size
  const bytes = new Uint8Array(sizeBytes)
  const { IP_OPTIONS, TCP_OPTIONS, TCP, UDP, IP_HEADER } = NdisChecksum
  const ipv6Bits = IP_OPTIONS | TCP_OPTIONS | TCP | UDP
  const ipv4Bits = ipv6Bits | IP_HEADER
  const encapsulation = NDIS_ENCAPSULATION_8023
  NdisOffload.encode(new DataView(bytes.buffer), 0, {
    objectType: NdisObjectType.OFFLOAD,
    revision,
    sizeBytes,
    ipv4TransmitEncapsulation: encapsulation,
    ipv4TransmitBits: ipv4Bits,
    ipv4ReceiveEncapsulation: encapsulation,
    ipv4ReceiveBits: ipv4Bits,
    ipv6TransmitEncapsulation: encapsulation,
    ipv6TransmitBits: ipv6Bits,
    ipv6ReceiveEncapsulation: encapsulation,
    ipv6ReceiveBits: ipv6Bits,
    lsoV2Ipv4Encapsulation: encapsulation,
    lsoV2Ipv4MaxBytes: LSO_BYTES_MAX,
    lsoV2Ipv4MinSegments: LSO_SEGMENTS_MIN,
    lsoV2Ipv6Encapsulation: encapsulation,
    lsoV2Ipv6MaxBytes: LSO_BYTES_MAX,
    lsoV2Ipv6MinSegments: LSO_SEGMENTS_MIN,
    lsoV2Ipv6Options: LSO_IPV6_OPTIONS,
    flags: 0,
  })
  return bytes
}

function rssCapabilities(adapter: OidAdapter): Uint8Array {
  return NdisRssCapabilities.pack({
    objectType: NdisObjectType.RSS_CAPABILITIES,
    revision: 2,
    sizeBytes: NdisRssCapabilities.size,
    flags: RSS_CAPABILITY_FLAGS,
    messageCount: adapter.maxSubChannels + 1,
    queueCount: adapter.maxSubChannels + 1,
    tableEntries: NDIS_RSS_TABLE_ENTRIES,
  })
}

// A byte for each kind of checksum, from the fifth on: IPv4, TCP and UDP over either IP.
function setOffload(adapter: OidAdapter, bytes: Uint8Array): number {
  const kinds = 5
  if (bytes.length < NdisObject.size + kinds) return RndisStatus.INVALID_LENGTH
  let isTold = adapter.tellsChecksums
  for (let at = NdisObject.size; at < NdisObject.size + kinds; at += 1) {
    const value = bytes[at]!
    if (value === OFFLOAD_UNCHANGED) continue
    isTold = value === OFFLOAD_RECEIVE_ONLY || value === OFFLOAD_BOTH
  }
  adapter.tellsChecksums = isTold
  return RndisStatus.SUCCESS
}

function setRss(adapter: OidAdapter, bytes: Uint8Array, view: DataView): number {
  if (adapter.maxSubChannels === 0) return RndisStatus.NOT_SUPPORTED
  if (bytes.length < NdisRssParameters.size) return RndisStatus.INVALID_LENGTH
  const { rss } = adapter
  const { flags, tableBytes, tableOffset, keyBytes, keyOffset } = NdisRssParameters.decode(view)
  if ((flags & NDIS_RSS_DISABLE) !== 0) {
    rss.isEnabled = false
    return RndisStatus.SUCCESS
  }
  const entries = tableBytes >>> 2
  // The hash finds its entry by its lowest bits.
  const isPower = entries > 0 && (entries & (entries - 1)) === 0
  if (tableBytes % 4 !== 0 || !isPower || entries > NDIS_RSS_TABLE_ENTRIES) {
    return RndisStatus.INVALID_DATA
  }
  if (keyBytes !== NDIS_RSS_KEY_BYTES) return RndisStatus.INVALID_DATA
  const size = bytes.length
  const hasTable = tableOffset <= size && tableBytes <= size - tableOffset
  if (!hasTable || keyOffset > size || keyBytes > size - keyOffset) return RndisStatus.INVALID_DATA
  for (let entry = 0; entry < entries; entry += 1) {
    if (view.getUint32(tableOffset + entry * 4, true) >= adapter.channelCount) {
      return RndisStatus.INVALID_DATA
    }
  }
  for (let entry = 0; entry < entries; entry += 1) {
    rss.table[entry] = view.getUint32(tableOffset + entry * 4, true)
  }
  rss.entries = entries
  rss.hash.setKey(bytes.subarray(keyOffset, keyOffset + keyBytes))
  rss.isEnabled = true
  return RndisStatus.SUCCESS
}

function setParameter(adapter: OidAdapter, bytes: Uint8Array, view: DataView): number {
  const size = bytes.length
  if (size < CONFIG_BYTES) return RndisStatus.INVALID_LENGTH
  const nameAt = view.getUint32(0, true)
  const nameBytes = view.getUint32(4, true)
  const valueAt = view.getUint32(12, true)
  const valueBytes = view.getUint32(16, true)
  const hasName = nameAt <= size && nameBytes <= size - nameAt
  if (!hasName || valueAt > size || valueBytes > size - valueAt) return RndisStatus.INVALID_DATA
  const text = new TextDecoder('utf-16le')
  const name = text.decode(bytes.subarray(nameAt, nameAt + nameBytes))
  if (name !== 'NetworkAddress') return RndisStatus.NOT_SUPPORTED
  const digits = text.decode(bytes.subarray(valueAt, valueAt + valueBytes))
  if (!/^[\da-f]{12}$/iu.test(digits)) return RndisStatus.INVALID_DATA
  try {
    const address = parseMacAddress(digits.match(/../gu)?.join(':') ?? '')
    return adapter.changeAddress(address) ? RndisStatus.SUCCESS : RndisStatus.FAILURE
  } catch {
    return RndisStatus.INVALID_DATA
  }
}

function answer(bytes: Uint8Array): OidAnswer {
  return { status: RndisStatus.SUCCESS, bytes }
}

function refused(): OidAnswer {
  return { status: RndisStatus.NOT_SUPPORTED, bytes: NOTHING }
}

function u32s(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4)
  const view = new DataView(bytes.buffer)
  for (const [index, value] of values.entries()) view.setUint32(index * 4, value, true)
  return bytes
}

function utf16(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 2)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at < text.length; at += 1) view.setUint16(at * 2, text.charCodeAt(at), true)
  return bytes
}
