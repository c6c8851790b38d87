// NVSP messages beside RNDIS: versions, buffers, sub-channels. Cold: a few in a channel's life.

import { assertNever } from '@guestyard/hvdef'
import type { MappedGpadl, ServerChannel } from '@guestyard/vmbus/server'
import {
  NETWORK_MTU_MAX,
  NETWORK_MTU_MIN,
  NVSP_RECEIVE_BUFFER_ID,
  NVSP_SEND_SECTION_BYTES,
  NVSP_SUBCHANNEL_ALLOCATE,
  NvspInit,
  NvspInitComplete,
  NvspNdisConfig,
  NvspReceiveBufferComplete,
  NvspSendBuffer,
  NvspSendBufferComplete,
  NvspStatus,
  NvspSubChannel,
  NvspSubChannelComplete,
  NvspType,
  NvspVersion,
} from '../protocol.ts'
import type { NetAdapter } from './net-adapter.ts'
import type { NetStateName } from './net-state.ts'
import { ReceiveBuffer, subAllocationBytes } from './receive-buffer.ts'

/** What the messages change of a channel. */
export interface SetupEnd {
  readonly channel: ServerChannel
  state: NetStateName
}

/** What answers, and sub-channels to be offered behind it. */
export interface SetupAnswer {
  readonly bytes: Uint8Array
  readonly subChannels: number
}

const VERSIONS: ReadonlySet<number> = new Set(Object.values(NvspVersion))
const ETHERNET_BYTES = 14
const MAX_MDL_CHAIN = 34
const NEGOTIATED_DEPRECATED = 0xffff_ffff
const NEGOTIATED_V1 = 2
/** Bytes of a receive buffer, at most: twice what Linux asks for at most. */
const RECEIVE_BUFFER_BYTES_MAX = 64 * 1024 * 1024

/** Serves a message, `given`, which is private. Undefined for what has no answer: the message is unknown, or says something only. */
export function serveSetup(
  end: SetupEnd,
  adapter: NetAdapter,
  type: number,
  given: Uint8Array,
): SetupAnswer | undefined {
  const view = new DataView(given.buffer, given.byteOffset, given.byteLength)
  switch (type) {
    case NvspType.INIT:
      return answer(init(end, adapter, view))
    case NvspType.SEND_RECEIVE_BUFFER:
      return answer(takeReceiveBuffer(end, adapter, view))
    case NvspType.SEND_SEND_BUFFER:
      return answer(takeSendBuffer(end, adapter, view))
    case NvspType.SUBCHANNEL:
      return subChannels(end, adapter, view)
    case NvspType.SWITCH_DATA_PATH:
      return answer(new Uint8Array(0))
    case NvspType.REVOKE_RECEIVE_BUFFER:
      if (!isPrimary(end.state)) return undefined
      adapter.receiveBuffer?.release()
      adapter.receiveBuffer = null
      if (end.state === 'ready') end.state = 'setup'
      return answer(new Uint8Array(0))
    case NvspType.REVOKE_SEND_BUFFER:
      if (!isPrimary(end.state)) return undefined
      adapter.sendBuffer?.release()
      adapter.sendBuffer = null
      return answer(new Uint8Array(0))
    case NvspType.SEND_NDIS_CONFIG:
      if (end.state !== 'setup' || view.byteLength < NvspNdisConfig.size) return undefined
      configure(adapter, NvspNdisConfig.decode(view).mtuBytes)
      return answer(new Uint8Array(0))
    // It says what the guest's NDIS is, and nothing here depends on it.
    case NvspType.SEND_NDIS_VERSION:
      return isPrimary(end.state) ? answer(new Uint8Array(0)) : undefined
    default:
      return undefined
  }
}

function init(end: SetupEnd, adapter: NetAdapter, view: DataView): Uint8Array {
  const highest = view.byteLength < NvspInit.size ? 0 : NvspInit.decode(view).highestVersion
  const isAgreed = end.state === 'init' && VERSIONS.has(highest)
  if (isAgreed) {
    adapter.nvspVersion = highest
    end.state = 'setup'
  }
  return NvspInitComplete.pack({
    type: NvspType.INIT_COMPLETE,
    negotiatedVersion: highest === NvspVersion.V1 ? NEGOTIATED_V1 : NEGOTIATED_DEPRECATED,
    maxMdlChain: MAX_MDL_CHAIN,
    status: isAgreed ? NvspStatus.SUCCESS : NvspStatus.FAILURE,
  })
}

// A guest's MTU is its own matter, up to what a frame may be.
function configure(adapter: NetAdapter, frameBytes: number): void {
  const mtuBytes = frameBytes - ETHERNET_BYTES
  const most = mtuBytes < NETWORK_MTU_MAX ? mtuBytes : NETWORK_MTU_MAX
  adapter.guestMtuBytes = most > NETWORK_MTU_MIN ? most : NETWORK_MTU_MIN
}

function takeReceiveBuffer(end: SetupEnd, adapter: NetAdapter, view: DataView): Uint8Array {
  const leastBytes = subAllocationBytes(adapter.guestMtuBytes)
  const gpadl =
    end.state === 'setup' && adapter.receiveBuffer === null
      ? takeGpadl(end.channel, view, NVSP_RECEIVE_BUFFER_ID, leastBytes)
      : undefined
  const buffer = gpadl === undefined ? null : new ReceiveBuffer(gpadl, adapter.guestMtuBytes)
  if (buffer !== null) {
    adapter.receiveBuffer = buffer
    end.state = 'ready'
  }
  const size = buffer?.subAllocationBytes ?? 0
  const count = buffer?.count ?? 0
  return NvspReceiveBufferComplete.pack({
    type: NvspType.SEND_RECEIVE_BUFFER_COMPLETE,
    status: buffer === null ? NvspStatus.FAILURE : NvspStatus.SUCCESS,
    sectionCount: buffer === null ? 0 : 1,
    offsetBytes: 0,
    subAllocationBytes: size,
    subAllocationCount: count,
    endOffsetBytes: size * count,
  })
}

function takeSendBuffer(end: SetupEnd, adapter: NetAdapter, view: DataView): Uint8Array {
  const isNow = end.state === 'setup' || end.state === 'ready'
  const gpadl =
    isNow && adapter.sendBuffer === null
      ? takeGpadl(end.channel, view, 0, NVSP_SEND_SECTION_BYTES)
      : undefined
  if (gpadl !== undefined) adapter.sendBuffer = gpadl
  return NvspSendBufferComplete.pack({
    type: NvspType.SEND_SEND_BUFFER_COMPLETE,
    status: gpadl === undefined ? NvspStatus.FAILURE : NvspStatus.SUCCESS,
    sectionBytes: gpadl === undefined ? 0 : NVSP_SEND_SECTION_BYTES,
  })
}

// A GPADL of the channel's, of one range that is large enough.
function takeGpadl(
  channel: ServerChannel,
  view: DataView,
  id: number,
  leastBytes: number,
): MappedGpadl | undefined {
  if (view.byteLength < NvspSendBuffer.size) return undefined
  const given = NvspSendBuffer.decode(view)
  if (given.id !== id) return undefined
  const gpadl = channel.gpadl(given.gpadlId)
  if (gpadl === undefined) return undefined
  const [range, ...more] = gpadl.ranges
  const isFit = range !== undefined && more.length === 0 && range.lengthBytes >= leastBytes
  if (isFit && range.lengthBytes <= RECEIVE_BUFFER_BYTES_MAX) return gpadl
  gpadl.release()
  return undefined
}

function subChannels(end: SetupEnd, adapter: NetAdapter, view: DataView): SetupAnswer {
  const free = adapter.maxSubChannels - end.channel.subChannelCount
  let count = 0
  if (view.byteLength >= NvspSubChannel.size && end.state === 'ready') {
    const asked = NvspSubChannel.decode(view)
    const isAllowed = asked.operation === NVSP_SUBCHANNEL_ALLOCATE
    if (isAllowed && adapter.nvspVersion >= NvspVersion.V5) count = Math.min(asked.count, free)
  }
  const bytes = NvspSubChannelComplete.pack({
    type: NvspType.SUBCHANNEL,
    status: count > 0 ? NvspStatus.SUCCESS : NvspStatus.FAILURE,
    count,
  })
  return { bytes, subChannels: count }
}

function isPrimary(state: NetStateName): boolean {
  switch (state) {
    case 'init':
    case 'sub-channel':
    case 'over':
      return false
    case 'setup':
    case 'ready':
      return true
    default:
      return assertNever(state)
  }
}

function answer(bytes: Uint8Array): SetupAnswer {
  return { bytes, subChannels: 0 }
}
