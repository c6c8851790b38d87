// NVSP messages that a driver sends while it starts. Cold.

import {
  NVSP_RECEIVE_BUFFER_ID,
  NVSP_SUBCHANNEL_ALLOCATE,
  NvspCapability,
  NvspInit,
  NvspNdisConfig,
  NvspNdisVersion,
  NvspSendBuffer,
  NvspSubChannel,
  NvspType,
  NvspVersion,
} from '../protocol.ts'

export interface NvspRequestOptions {
  readonly version: number
  /** Of the buffer that is given. */
  readonly gpadlId: number
  /** MTU with the Ethernet header. */
  readonly frameBytes: number
  readonly subChannels: number
}

/** What is sent in a state: the last of them has an answer. */
export function nvspRequests(
  state: 'version' | 'receive-buffer' | 'send-buffer' | 'sub-channels',
  options: NvspRequestOptions,
): readonly Uint8Array[] {
  const { version, gpadlId } = options
  switch (state) {
    case 'version':
      return [
        NvspInit.pack({ type: NvspType.INIT, lowestVersion: version, highestVersion: version }),
      ]
    case 'receive-buffer': {
      const type = NvspType.SEND_RECEIVE_BUFFER
      const buffer = NvspSendBuffer.pack({ type, gpadlId, id: NVSP_RECEIVE_BUFFER_ID })
      return [...descriptions(options), buffer]
    }
    case 'send-buffer':
      return [NvspSendBuffer.pack({ type: NvspType.SEND_SEND_BUFFER, gpadlId, id: 0 })]
    case 'sub-channels':
      return [
        NvspSubChannel.pack({
          type: NvspType.SUBCHANNEL,
          operation: NVSP_SUBCHANNEL_ALLOCATE,
          count: options.subChannels,
        }),
      ]
  }
}

// What the guest has, in Linux' order.
function descriptions({ version, frameBytes }: NvspRequestOptions): readonly Uint8Array[] {
  const ndis = NvspNdisVersion.pack({
    type: NvspType.SEND_NDIS_VERSION,
    major: 6,
    minor: version <= NvspVersion.V4 ? 1 : 30,
  })
  if (version < NvspVersion.V2) return [ndis]
  const config = NvspNdisConfig.pack({
    type: NvspType.SEND_NDIS_CONFIG,
    mtuBytes: frameBytes,
    reserved: 0,
    capabilities: NvspCapability.IEEE_8021Q,
  })
  return [config, ndis]
}
