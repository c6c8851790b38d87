import { describe, expect, test } from 'vitest'
import { StorOperation, StorProperties, StorStatus, StorVersion } from '@guestyard/storage/protocol'
import { FakeTarget } from '../support/fake-target.ts'
import { RawGuest, answerText, srb } from '../support/raw-guest.ts'

const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0]
const {
  BEGIN_INITIALIZATION: BEGIN,
  QUERY_PROTOCOL_VERSION: VERSION,
  QUERY_PROPERTIES: PROPERTIES,
  CREATE_SUB_CHANNELS: SUB_CHANNELS,
  END_INITIALIZATION: END,
  EXECUTE_SRB,
  RESET_LUN,
  RESET_ADAPTER,
  RESET_BUS,
} = StorOperation

/** The way to each state, and what it takes; everything else is answered with INVALID_DEVICE_STATE. */
const STATES: Record<string, { way: readonly number[]; takes: readonly number[] }> = {
  begin: { way: [], takes: [BEGIN] },
  version: { way: [BEGIN], takes: [VERSION] },
  properties: { way: [BEGIN, VERSION], takes: [PROPERTIES] },
  finish: { way: [BEGIN, VERSION, PROPERTIES], takes: [SUB_CHANNELS, END] },
  ready: {
    way: [BEGIN, VERSION, PROPERTIES, END],
    takes: [SUB_CHANNELS, EXECUTE_SRB, RESET_LUN, RESET_ADAPTER, RESET_BUS],
  },
}
const OPERATIONS = Object.values(StorOperation)

function raw(): RawGuest {
  return new RawGuest({ vsp: { target: new FakeTarget(), maxSubChannels: 2 } })
}

function body(operation: number): readonly number[] {
  if (operation === VERSION) return [0, 6]
  if (operation === SUB_CHANNELS) return [0, 0]
  if (operation === EXECUTE_SRB) return [...srb(TEST_UNIT_READY).subarray(12)]
  return []
}

describe('each state takes its operations and no other', () => {
  for (const [name, { way, takes }] of Object.entries(STATES)) {
    test(name, () => {
      for (const operation of [...OPERATIONS, 0, 15, 0x7f]) {
        const guest = raw()
        for (const step of way) expect(guest.ask(step, body(step)).status).toBe(0)
        expect(guest.vsp.inspect().channels[0]?.state).toBe(name)
        const { status } = guest.ask(operation, body(operation))
        const isTaken = takes.includes(operation)
        expect([operation, status]).toEqual([
          operation,
          isTaken ? StorStatus.SUCCESS : StorStatus.INVALID_DEVICE_STATE,
        ])
        expect(guest.failures).toEqual([])
      }
    })
  }
})

test('a version that is refused may be followed by another', () => {
  const guest = raw()
  guest.ask(BEGIN)
  expect(guest.ask(VERSION, [2, 6]).status).toBe(StorStatus.REVISION_MISMATCH)
  expect(guest.ask(VERSION, [0, 7]).status).toBe(StorStatus.REVISION_MISMATCH)
  expect(guest.ask(VERSION, [1, 5]).status).toBe(StorStatus.SUCCESS)
  expect(guest.vsp.inspect().channels[0]?.version).toBe(StorVersion.WIN8)
})

test('answers have the size of the negotiated version, whatever the guest sends', () => {
  for (const [version, size] of [
    [StorVersion.WIN6, 48],
    [StorVersion.WIN7, 48],
    [StorVersion.WIN8, 64],
    [StorVersion.WIN8_1, 64],
  ] as const) {
    const guest = raw()
    guest.ask(BEGIN)
    guest.ask(VERSION, [version & 0xff, version >> 8])
    expect(guest.ask(PROPERTIES, [], 64).bytes.length).toBe(size)
    expect(guest.ask(END, [], 48).bytes.length).toBe(size)
    guest.send(srb(TEST_UNIT_READY).subarray(0, size), 1)
    const [answer] = guest.receive()
    expect([answer?.bytes.length, answerText(answer)]).toEqual([size, '0 1 0 0'])
  }
})

test('before a version is agreed on, a guest gets as much as it sent', () => {
  const guest = raw()
  expect(guest.ask(BEGIN, [], 48).bytes.length).toBe(48)
  expect(guest.ask(VERSION, [0, 6], 64).bytes.length).toBe(64)
})

test('the properties state limits and sub-channels', () => {
  const guest = new RawGuest({
    vsp: { target: new FakeTarget(), maxSubChannels: 5, maxTransferBytes: 1024 * 1024 },
  })
  guest.ask(BEGIN)
  guest.ask(VERSION, [0, 6])
  const { bytes } = guest.ask(PROPERTIES)
  const properties = StorProperties.decode(new DataView(bytes.buffer))
  expect(properties.maxSubChannels).toBe(5)
  expect(properties.propertyFlags).toBe(1)
  expect(properties.maxTransferBytes).toBe(1024 * 1024)
})

test('sub-channels are offered once, up to the limit, before the end of the handshake or after', () => {
  for (const when of ['before', 'after']) {
    const guest = raw()
    for (const step of [BEGIN, VERSION, PROPERTIES]) guest.ask(step, body(step))
    if (when === 'after') guest.ask(END)
    expect(guest.ask(SUB_CHANNELS, [3, 0]).status).toBe(StorStatus.INVALID_PARAMETER)
    expect(guest.subChannels.length).toBe(0)
    expect(guest.ask(SUB_CHANNELS, [2, 0]).status).toBe(StorStatus.SUCCESS)
    expect(guest.subChannels.map((channel) => channel.offer.subChannelIndex)).toEqual([1, 2])
    expect(guest.ask(SUB_CHANNELS, [1, 0]).status).toBe(StorStatus.INVALID_PARAMETER)
    if (when === 'before') guest.ask(END)
    expect(guest.vsp.inspect().channels.map((channel) => channel.state)).toEqual([
      'ready',
      'sub-channel',
      'sub-channel',
    ])
  }
})

test('a sub-channel takes requests once the primary is ready, and nothing else ever', () => {
  const guest = raw()
  for (const step of [BEGIN, VERSION, PROPERTIES]) guest.ask(step, body(step))
  guest.ask(SUB_CHANNELS, [1, 0])
  const [sub] = guest.subChannels
  const onSub = (packet: Uint8Array): string => {
    guest.write(packet, 9, 1, sub)
    guest.loopback.pump()
    return guest.receive(sub).map(answerText).join(', ')
  }
  expect(onSub(srb(TEST_UNIT_READY)).split(' ')[0]).toBe('c0000184')
  guest.ask(END)
  expect(onSub(srb(TEST_UNIT_READY))).toBe('0 1 0 0')
  for (const operation of OPERATIONS) {
    if (operation === EXECUTE_SRB) continue
    const packet = new Uint8Array(64)
    packet[0] = operation
    expect(onSub(packet).split(' ')[0]).toBe('c0000184')
  }
  expect(guest.failures).toEqual([])
})

test('a sub-channel cannot be opened before the primary, and a primary only once', () => {
  const guest = raw().shakeHands()
  guest.ask(SUB_CHANNELS, [2, 0])
  guest.loopback.client.close(guest.channel)
  guest.loopback.pump()
  expect(guest.vsp.inspect().channels).toEqual([])
  guest.open()
  expect(guest.vsp.inspect().channels.map((channel) => channel.state)).toEqual(['begin'])
})

test('limits that make no sense are refused', () => {
  const target = new FakeTarget()
  for (const vsp of [
    { target, maxSubChannels: 65 },
    { target, maxSubChannels: -1 },
    { target, maxTransferBytes: 5000 },
    { target, maxTransferBytes: 16 * 1024 * 1024 },
    { target, requestsPerChannel: 0 },
  ]) {
    expect(() => new RawGuest({ vsp })).toThrow(RangeError)
  }
})
