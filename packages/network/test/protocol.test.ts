// Messages as bytes, written by hand from the layouts of openvmm's netvsp and Linux's hyperv_net.h and rndis.h.

import { expect, test } from 'vitest'
import {
  NETWORK_CLASS_ID,
  NvspIndirectionTable,
  NvspInit,
  NvspInitComplete,
  NvspNdisConfig,
  NvspNdisVersion,
  NvspReceiveBufferComplete,
  NvspRevokeBuffer,
  NvspRndisPacket,
  NvspRndisPacketComplete,
  NvspSendBuffer,
  NvspSendBufferComplete,
  NvspSubChannel,
  NvspSubChannelComplete,
  NvspType,
  NvspVersion,
} from '@guestyard/network/protocol'
import {
  NdisObject,
  NdisOffload,
  NdisRssCapabilities,
  NdisRssParameters,
  RndisComplete,
  RndisHeader,
  RndisIndicateStatus,
  RndisInitialize,
  RndisInitializeComplete,
  RndisPacket,
  RndisPacketInfo,
  RndisQueryComplete,
  RndisRequest,
  RndisResetComplete,
  RndisType,
} from '@guestyard/network/rndis'

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
}

test('adapters are offered under the class that guests look for', () => {
  expect(NETWORK_CLASS_ID).toBe('f8615163-df3e-46c5-913f-f2d2f965ed0e')
})

test('the handshake is laid out as hosts and guests expect it', () => {
  const version = NvspVersion.V6_1
  const init = { type: NvspType.INIT, lowestVersion: version, highestVersion: version }
  expect(hex(NvspInit.pack(init))).toBe('01 00 00 00 01 00 06 00 01 00 06 00')
  const complete = { type: 2, negotiatedVersion: 0xffff_ffff, maxMdlChain: 34, status: 1 }
  expect(hex(NvspInitComplete.pack(complete))).toBe(
    '02 00 00 00 ff ff ff ff 22 00 00 00 01 00 00 00',
  )
  expect(hex(NvspNdisVersion.pack({ type: 100, major: 6, minor: 0x1e }))).toBe(
    '64 00 00 00 06 00 00 00 1e 00 00 00',
  )
  expect(
    hex(NvspNdisConfig.pack({ type: 125, mtuBytes: 1514, reserved: 0, capabilities: 0xcn })),
  ).toBe('7d 00 00 00 ea 05 00 00 00 00 00 00 0c 00 00 00 00 00 00 00')
})

test('buffers are laid out as hosts and guests expect them', () => {
  expect(hex(NvspSendBuffer.pack({ type: 101, gpadlId: 0x10203, id: 0xcafe }))).toBe(
    '65 00 00 00 03 02 01 00 fe ca 00 00',
  )
  const stretch = {
    type: 102,
    status: 1,
    sectionCount: 1,
    offsetBytes: 0,
    subAllocationBytes: 1728,
    subAllocationCount: 9,
    endOffsetBytes: 15552,
  }
  expect(hex(NvspReceiveBufferComplete.pack(stretch))).toBe(
    '66 00 00 00 01 00 00 00 01 00 00 00 00 00 00 00 c0 06 00 00 09 00 00 00 c0 3c 00 00',
  )
  expect(hex(NvspSendBufferComplete.pack({ type: 105, status: 1, sectionBytes: 6144 }))).toBe(
    '69 00 00 00 01 00 00 00 00 18 00 00',
  )
  expect(hex(NvspRevokeBuffer.pack({ type: 103, id: 0xcafe }))).toBe('67 00 00 00 fe ca 00 00')
})

test('packets, sub-channels and the transmit table are laid out as hosts and guests expect them', () => {
  const packet = { type: 107, channelType: 1, sectionIndex: 0xffff_ffff, sectionBytes: 0 }
  expect(hex(NvspRndisPacket.pack(packet))).toBe('6b 00 00 00 01 00 00 00 ff ff ff ff 00 00 00 00')
  expect(hex(NvspRndisPacketComplete.pack({ type: 108, status: 1 }))).toBe(
    '6c 00 00 00 01 00 00 00',
  )
  expect(hex(NvspSubChannel.pack({ type: 133, operation: 1, count: 3 }))).toBe(
    '85 00 00 00 01 00 00 00 03 00 00 00',
  )
  expect(hex(NvspSubChannelComplete.pack({ type: 133, status: 1, count: 3 }))).toBe(
    '85 00 00 00 01 00 00 00 03 00 00 00',
  )
  const table = NvspIndirectionTable.pack({
    type: 134,
    count: 16,
    offsetBytes: 12,
    table: Uint8Array.from({ length: 64 }, (_, index) => index),
  })
  expect(hex(table.subarray(0, 16))).toBe('86 00 00 00 10 00 00 00 0c 00 00 00 00 01 02 03')
})

test('RNDIS messages are laid out as Linux writes and reads them', () => {
  expect(hex(RndisHeader.pack({ type: RndisType.HALT, lengthBytes: 12 }))).toBe(
    '03 00 00 00 0c 00 00 00',
  )
  const packet = RndisPacket.pack({
    type: 1,
    lengthBytes: 0x78,
    dataOffset: 36,
    dataLength: 60,
    oobOffset: 0,
    oobLength: 0,
    oobCount: 0,
    infoOffset: 0x24,
    infoLength: 16,
    vcHandle: 0,
  })
  expect(hex(packet)).toBe(
    '01 00 00 00 78 00 00 00 24 00 00 00 3c 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 24 00 00 00 10 00 00 00 00 00 00 00 00 00 00 00',
  )
  const initialize = {
    type: 2,
    lengthBytes: 24,
    requestId: 7,
    major: 1,
    minor: 0,
    maxTransferBytes: 0x4000,
  }
  expect(hex(RndisInitialize.pack(initialize))).toBe(
    '02 00 00 00 18 00 00 00 07 00 00 00 01 00 00 00 00 00 00 00 00 40 00 00',
  )
  expect(
    RndisInitializeComplete.pack({
      type: RndisType.INITIALIZE_COMPLETE,
      lengthBytes: 52,
      requestId: 7,
      status: 0,
      major: 1,
      minor: 0,
      deviceFlags: 1,
      medium: 0,
      maxPackets: 8,
      maxTransferBytes: 0xefff_ffff,
      alignmentShift: 3,
    }).subarray(24, 44),
  ).toEqual(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 255, 255, 255, 239, 3, 0, 0, 0))
  const request = {
    type: 5,
    lengthBytes: 32,
    requestId: 9,
    oid: 0x1010e,
    infoLength: 4,
    infoOffset: 20,
    vcHandle: 0,
  }
  expect(hex(RndisRequest.pack(request))).toBe(
    '05 00 00 00 20 00 00 00 09 00 00 00 0e 01 01 00 04 00 00 00 14 00 00 00 00 00 00 00',
  )
})

test('RNDIS answers are laid out as Linux writes and reads them', () => {
  const query = {
    type: 0x8000_0004,
    lengthBytes: 28,
    requestId: 9,
    status: 0,
    infoLength: 4,
    infoOffset: 16,
  }
  expect(hex(RndisQueryComplete.pack(query))).toBe(
    '04 00 00 80 1c 00 00 00 09 00 00 00 00 00 00 00 04 00 00 00 10 00 00 00',
  )
  const set = { type: 0x8000_0005, lengthBytes: 16, requestId: 9, status: 0xc000_00bb }
  expect(hex(RndisComplete.pack(set))).toBe('05 00 00 80 10 00 00 00 09 00 00 00 bb 00 00 c0')
  const reset = { type: 0x8000_0006, lengthBytes: 16, status: 0, addressingReset: 1 }
  expect(hex(RndisResetComplete.pack(reset))).toBe(
    '06 00 00 80 10 00 00 00 00 00 00 00 01 00 00 00',
  )
  const link = {
    type: 7,
    lengthBytes: 20,
    status: 0x4001_000b,
    infoLength: 0,
    infoOffset: 0,
  }
  expect(hex(RndisIndicateStatus.pack(link))).toBe(
    '07 00 00 00 14 00 00 00 0b 00 01 40 00 00 00 00 00 00 00 00',
  )
  expect(hex(RndisPacketInfo.pack({ sizeBytes: 16, type: 6, dataOffset: 12 }))).toBe(
    '10 00 00 00 06 00 00 00 0c 00 00 00',
  )
})

test('NDIS structures are laid out as Linux reads and writes them', () => {
  expect(hex(NdisObject.pack({ type: 0xa7, revision: 3, sizeBytes: 156 }))).toBe('a7 03 9c 00')
  expect(NdisOffload.at.lsoV2Ipv4Encapsulation).toBe(80)
  expect(NdisOffload.at.lsoV2Ipv6Options).toBe(104)
  const capabilities = {
    objectType: 0x88,
    revision: 2,
    sizeBytes: 18,
    flags: 0x0100_0301,
    messageCount: 1,
    queueCount: 4,
    tableEntries: 128,
  }
  expect(hex(NdisRssCapabilities.pack(capabilities))).toBe(
    '88 02 12 00 01 03 00 01 01 00 00 00 04 00 00 00 80 00',
  )
  const parameters = NdisRssParameters.pack({
    objectType: 0x89,
    revision: 2,
    sizeBytes: 40,
    flags: 0x10,
    baseProcessor: 0,
    hashInfo: 0x1701,
    tableBytes: 512,
    tableOffset: 40,
    keyBytes: 40,
    keyOffset: 552,
  })
  expect(hex(parameters.subarray(0, 28))).toBe(
    '89 02 28 00 10 00 00 00 01 17 00 00 00 02 00 00 28 00 00 00 28 00 00 00 28 02 00 00',
  )
})
