// What a guest is told, and when: the messages of NVSP and the objects of RNDIS, as Linux asks for them.

import { expect, test } from 'vitest'
import { VirtualSwitch } from '@guestyard/network'
import {
  NvspReceiveBufferComplete,
  NvspSendBuffer,
  NvspSubChannel,
  NvspType,
  NvspVersion,
} from '@guestyard/network/protocol'
import {
  RNDIS_MAX_PACKETS,
  NdisOffload,
  NdisRssCapabilities,
  Oid,
  RndisInitializeComplete,
  RndisStatus,
} from '@guestyard/network/rndis'
import { macText } from '../support/frames.ts'
import { RawGuest } from '../support/raw-guest.ts'

function guest(options: { maxSubChannels?: number; macSpoofing?: boolean } = {}): RawGuest {
  const { macSpoofing = false, ...rest } = options
  const lan = new VirtualSwitch({ clock: { now: () => 0 } })
  return new RawGuest({
    switch: lan,
    port: { name: 'eth', address: macText(1), macSpoofing },
    ...rest,
  })
}

test.each(Object.entries(NvspVersion))('version %s is agreed on, once', (_, version) => {
  const one = guest()
  expect([one.init(0x0007_0000), one.init(version), one.init(version)]).toEqual([2, 1, 2])
  expect(one.vsp.inspect().nvspVersion).toBe(version)
  const length = version === NvspVersion.V6_1 ? 40 : 32
  expect(one.ask(new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])).bytes.length).toBe(length)
})

test('buffers are taken once each, after INIT, and given back', () => {
  const one = guest()
  expect(one.giveReceiveBuffer().status).toBe(2)
  one.init()
  const { status, bytes } = one.giveReceiveBuffer()
  expect(status).toBe(1)
  expect(NvspReceiveBufferComplete.decode(new DataView(bytes.buffer))).toMatchObject({
    sectionCount: 1,
    offsetBytes: 0,
    subAllocationBytes: 1728,
    subAllocationCount: 37,
    endOffsetBytes: 37 * 1728,
  })
  expect(one.giveReceiveBuffer().status).toBe(2)
  expect(one.giveSendBuffer().status).toBe(1)
  expect(one.giveSendBuffer().status).toBe(2)
  one.write(new Uint8Array([103, 0, 0, 0, 0xfe, 0xca, 0, 0]), 1, 0)
  one.write(new Uint8Array([106, 0, 0, 0, 0, 0, 0, 0]), 1, 0)
  expect(one.receive()).toEqual([])
  expect(one.giveReceiveBuffer().status).toBe(1)
  expect(one.giveSendBuffer().status).toBe(1)
})

test('a jumbo guest says so before its buffer, and gets larger sub-allocations', () => {
  const one = guest()
  one.init()
  const config = new Uint8Array(20)
  new DataView(config.buffer).setUint32(0, 125, true)
  new DataView(config.buffer).setUint32(4, 9014, true)
  one.write(config, 1, 0)
  const { bytes } = one.giveReceiveBuffer()
  const { subAllocationBytes, subAllocationCount } = NvspReceiveBufferComplete.decode(
    new DataView(bytes.buffer),
  )
  expect(subAllocationBytes).toBeGreaterThanOrEqual(44 + 18 + 9000 + 36)
  expect(subAllocationCount).toBe(Math.floor(65_536 / subAllocationBytes))
})

test('a GPADL that is not there, too small or of the wrong id is no buffer', () => {
  const one = guest()
  one.init()
  const give = (type: number, gpadlId: number, id: number): number =>
    one.ask(NvspSendBuffer.pack({ type, gpadlId, id })).status
  expect(give(NvspType.SEND_RECEIVE_BUFFER, 0x1234, 0xcafe)).toBe(2)
  expect(give(NvspType.SEND_RECEIVE_BUFFER, one.gpadl(256, 4), 0xbeef)).toBe(2)
  expect(give(NvspType.SEND_SEND_BUFFER, one.gpadl(700, 1), 0)).toBe(2)
  expect(one.ask(new Uint8Array([101, 0, 0, 0, 1, 0, 0, 0])).status).toBe(2)
})

test('RNDIS answers what Linux asks at its start', () => {
  const one = guest({ maxSubChannels: 3 }).start()
  const initialize = new Uint8Array(24)
  initialize.set([2, 0, 0, 0, 24, 0, 0, 0, 77, 0, 0, 0, 1])
  const complete = RndisInitializeComplete.decode(new DataView(one.control(initialize)!.buffer))
  expect(complete).toMatchObject({
    requestId: 77,
    status: 0,
    deviceFlags: 1,
    maxPackets: RNDIS_MAX_PACKETS,
  })
  expect(one.query(Oid.PERMANENT_ADDRESS)).toEqual({
    status: 0,
    info: Uint8Array.of(2, 0, 0, 0, 0, 1),
  })
  expect([...one.query(Oid.MAXIMUM_FRAME_SIZE).info]).toEqual([0xdc, 5, 0, 0])
  expect([...one.query(Oid.MEDIA_CONNECT_STATUS).info]).toEqual([0, 0, 0, 0])
  expect([...one.query(Oid.LINK_SPEED).info]).toEqual([0, 0xe1, 0xf5, 5])
  expect([...one.query(Oid.FRIENDLY_NAME).info]).toEqual([101, 0, 116, 0, 104, 0])
  const offload = one.query(Oid.TCP_OFFLOAD_HARDWARE_CAPABILITIES).info
  expect(offload.length).toBe(156)
  const bits = NdisOffload.decode(new DataView(offload.buffer, offload.byteOffset))
  // Linux uses checksums only with all of 0x14 and 0x15, and LSO over IPv6 only with 5.
  expect(bits.ipv4TransmitBits & 0x14).toBe(0x14)
  expect(bits.ipv6TransmitBits & 0x15).toBe(0x15)
  expect(bits.lsoV2Ipv6Options & 5).toBe(5)
  const rss = one.query(Oid.RECEIVE_SCALE_CAPABILITIES).info
  expect(NdisRssCapabilities.decode(new DataView(rss.buffer, rss.byteOffset))).toMatchObject({
    sizeBytes: 18,
    queueCount: 4,
    tableEntries: 128,
  })
  expect(one.query(0x1_0999)).toMatchObject({
    status: RndisStatus.NOT_SUPPORTED,
    info: new Uint8Array(0),
  })
  expect(one.set(0x1_0999, [1])).toBe(RndisStatus.NOT_SUPPORTED)
  expect(one.set(Oid.TCP_OFFLOAD_PARAMETERS, new Uint8Array(32))).toBe(0)
})

test.each([
  [NvspVersion.V2, 112],
  [NvspVersion.V4, 144],
  [NvspVersion.V5, 156],
])('version %i has an offload structure of %i bytes', (version, bytes) => {
  const one = guest().start(version)
  expect(one.query(Oid.TCP_OFFLOAD_HARDWARE_CAPABILITIES).info.length).toBe(bytes)
})

test('the other messages of RNDIS have their answers too', () => {
  const one = guest().start()
  expect([...one.control(Uint8Array.of(8, 0, 0, 0, 12, 0, 0, 0, 9, 0, 0, 0))!]).toEqual([
    8, 0, 0, 0x80, 16, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
  ])
  expect([...one.control(Uint8Array.of(6, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0))!]).toEqual([
    6, 0, 0, 0x80, 16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
  ])
  expect(one.control(Uint8Array.of(3, 0, 0, 0, 12, 0, 0, 0, 9, 0, 0, 0))).toBeUndefined()
  expect(one.vsp.inspect().packetFilter).toBe(0)
})

test('a guest changes its address where it may', () => {
  const parameter = (text: string): Uint8Array => {
    const name = Buffer.from('NetworkAddress', 'utf16le')
    const value = Buffer.from(text, 'utf16le')
    const head = Buffer.alloc(20)
    for (const [index, word] of [20, name.length, 2, 20 + name.length, value.length].entries()) {
      head.writeUInt32LE(word, index * 4)
    }
    return Buffer.concat([head, name, value])
  }
  const free = guest({ macSpoofing: true }).start()
  expect(free.set(Oid.RNDIS_CONFIG_PARAMETER, parameter('020000000009'))).toBe(0)
  expect([...free.query(Oid.CURRENT_ADDRESS).info]).toEqual([2, 0, 0, 0, 0, 9])
  expect(free.set(Oid.RNDIS_CONFIG_PARAMETER, parameter('01000000000z'))).toBe(
    RndisStatus.INVALID_DATA,
  )
  expect(free.set(Oid.RNDIS_CONFIG_PARAMETER, parameter('010000000009'))).toBe(
    RndisStatus.INVALID_DATA,
  )
  const bound = guest().start()
  expect(bound.set(Oid.RNDIS_CONFIG_PARAMETER, parameter('020000000009'))).toBe(RndisStatus.FAILURE)
})

test('a cable that is pulled is told, as it is when there is room to tell', () => {
  const one = guest().start()
  one.vsp.setLink(false)
  one.vsp.networkChanged()
  const told = one.receive().map(({ ranges }) => new DataView(ranges[0]!.buffer).getUint32(8, true))
  expect(told).toEqual([RndisStatus.MEDIA_DISCONNECT, RndisStatus.NETWORK_CHANGE])
  expect([...one.query(Oid.MEDIA_CONNECT_STATUS).info]).toEqual([1, 0, 0, 0])
  one.vsp.setLink(true)
  one.vsp.setLink(false)
  one.vsp.setLink(true)
  const once = one.receive().map(({ ranges }) => new DataView(ranges[0]!.buffer).getUint32(8, true))
  expect(once).toEqual([RndisStatus.MEDIA_CONNECT])
})

test('a link of another speed is told, in the units of its OID', () => {
  const one = guest().start()
  one.vsp.setLinkSpeed(2_500_000_000)
  const [told] = one.receive().map(({ ranges }) => new DataView(ranges[0]!.buffer))
  const words = Array.from({ length: 6 }, (_, word) => told!.getUint32(word * 4, true))
  expect(words).toEqual([7, 24, RndisStatus.LINK_SPEED_CHANGE, 4, 12, 25_000_000])
  expect([...one.query(Oid.LINK_SPEED).info]).toEqual([64, 120, 125, 1])
  one.vsp.setLinkSpeed(2_500_000_000)
  expect(one.receive()).toEqual([])
  expect(() => one.vsp.setLinkSpeed(0)).toThrow(/bitsPerSecond/)
})

test('sub-channels come as many as were granted, and the guest learns which to send on', () => {
  const one = guest({ maxSubChannels: 3 }).start()
  const ask = (count: number): readonly number[] => {
    const { bytes } = one.ask(NvspSubChannel.pack({ type: 133, operation: 1, count }))
    const view = new DataView(bytes.buffer)
    return [view.getUint32(4, true), view.getUint32(8, true)]
  }
  expect(ask(2)).toEqual([1, 2])
  expect(one.subChannels.length).toBe(2)
  const told = [...one.seen, ...one.receive()]
  const table = told.findLast(({ type }) => type === NvspType.SEND_INDIRECTION_TABLE)
  expect([...table!.bytes.subarray(4, 28)]).toEqual([
    16, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
  ])
  expect(ask(9)).toEqual([1, 1])
  expect(ask(1)).toEqual([2, 0])
  // A sub-channel serves frames and nothing else.
  expect(
    one.ask(NvspSubChannel.pack({ type: 133, operation: 1, count: 1 }), one.subChannels[0]).status,
  ).toBe(2)
})

test('an old guest gets no sub-channels', () => {
  const one = guest({ maxSubChannels: 3 }).start(NvspVersion.V4)
  expect(one.ask(NvspSubChannel.pack({ type: 133, operation: 1, count: 1 })).status).toBe(2)
})

test('a switch of the data path is answered without a payload', () => {
  const one = guest().start()
  expect(one.ask(Uint8Array.of(129, 0, 0, 0, 0, 0, 0, 0)).bytes.length).toBe(0)
})

test('after a close everything begins anew', () => {
  const one = guest().start()
  one.loopback.client.close(one.channel)
  one.loopback.pump()
  expect(one.vsp.inspect()).toMatchObject({ channels: [], packetFilter: 0, receiveBuffers: 0 })
  one.open()
  one.start(NvspVersion.V5)
  expect(one.vsp.inspect().channels).toEqual([{ subChannelIndex: 0, state: 'ready', ignored: 0 }])
})
