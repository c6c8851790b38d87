import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as hvdef from '../src/index.ts'

const { HypercallCode, HypercallTable, VmbusFeature, VmbusVersion } = hvdef

function captured(length: number, head: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(length)
  bytes.set(head)
  return bytes
}

const open = hvdef.OpenChannelMessage.pack({
  messageType: 5,
  channelId: 7,
  openId: 7,
  ringGpadlId: 1,
  targetVp: 0,
  downstreamPageOffset: 2,
  userDefined: new Uint8Array(120),
})
const contact = (version: number, featureFlags: number) =>
  hvdef.InitiateContactMessage.pack({
    messageType: 14,
    version,
    targetVp: 0,
    targetSint: 2,
    targetVtl: 0,
    featureFlags,
    parentToChildMonitorGpa: 0n,
    childToParentMonitorGpa: 0n,
  })

describe('decodeVmbusMessage', () => {
  test('a rescind gives its channel, its name and its sender', () => {
    const bytes = hvdef.ChannelMessage.pack({ messageType: 2, channelId: 9 })
    const message = hvdef.decodeVmbusMessage(bytes)
    expect(message).toMatchObject({
      kind: 'vmbus-message',
      type: 2,
      name: 'RESCIND_CHANNELOFFER',
      sender: 'host',
      fields: { channelId: 9 },
    })
  })

  test('a switch on the name gives typed fields', () => {
    const message = hvdef.decodeVmbusMessage(open)
    if (message.kind !== 'vmbus-message' || message.name !== 'OPENCHANNEL') {
      throw new Error('not an open request')
    }
    const gpadl: number = message.fields.ringGpadlId
    expect(gpadl).toBe(1)
  })

  test('the range data of a GPADL is its tail', () => {
    const head = hvdef.GpadlHeaderMessage.pack({
      messageType: 8,
      channelId: 1,
      gpadlId: 2,
      rangeBytes: 16,
      rangeCount: 1,
    })
    const message = hvdef.decodeVmbusMessage(captured(36, head))
    expect(message).toMatchObject({ name: 'GPADL_HEADER', tail: new Uint8Array(16) })
  })

  test.each([
    [VmbusVersion.WIN10, 0, 40, 'INITIATE_CONTACT_LEGACY'],
    [VmbusVersion.IRON, 0, 40, 'INITIATE_CONTACT'],
    [VmbusVersion.IRON, 0, 240, 'INITIATE_CONTACT'],
    [VmbusVersion.COPPER, VmbusFeature.CLIENT_ID, 56, 'INITIATE_CONTACT2'],
  ])(
    'a contact for version 0x%x, features 0x%x, %d bytes is %s',
    (version, features, length, name) => {
      const bytes = captured(length, contact(version, features))
      expect(hvdef.decodeVmbusMessage(bytes)).toMatchObject({ name, fields: { version } })
    },
  )

  test('a contact that asks for the client id but does not carry it is malformed', () => {
    const bytes = contact(VmbusVersion.COPPER, VmbusFeature.CLIENT_ID)
    expect(hvdef.decodeVmbusMessage(bytes)).toEqual({
      kind: 'malformed',
      reason: 'INITIATE_CONTACT2 takes 56 bytes, here are 40',
    })
  })

  test('an open request is told apart by the connection, and without one by its length', () => {
    const long = captured(156, open)
    const iron = { version: VmbusVersion.IRON, features: 0 }
    const copper = {
      version: VmbusVersion.COPPER,
      features: VmbusFeature.GUEST_SPECIFIED_SIGNAL_PARAMETERS,
    }
    expect(hvdef.decodeVmbusMessage(open)).toMatchObject({ name: 'OPENCHANNEL' })
    expect(hvdef.decodeVmbusMessage(long)).toMatchObject({ name: 'OPENCHANNEL2' })
    expect(hvdef.decodeVmbusMessage(long, iron)).toMatchObject({ name: 'OPENCHANNEL' })
    expect(hvdef.decodeVmbusMessage(long, copper)).toMatchObject({ name: 'OPENCHANNEL2' })
    expect(hvdef.decodeVmbusMessage(open, copper)).toMatchObject({ kind: 'malformed' })
    expect(hvdef.decodeVmbusMessage(captured(240, open))).toMatchObject({ name: 'OPENCHANNEL' })
  })

  test('a version response is told apart by its length where the connection is not known', () => {
    const head = hvdef.VersionResponseMessage.pack({
      messageType: 15,
      versionSupported: 1,
      connectionState: 0,
      messageConnectionId: 4,
    })
    const nameAt = (length: number) => hvdef.decodeVmbusMessage(captured(length, head))
    expect(nameAt(16)).toMatchObject({ name: 'VERSION_RESPONSE' })
    expect(nameAt(20)).toMatchObject({ name: 'VERSION_RESPONSE2' })
    expect(nameAt(40)).toMatchObject({ name: 'VERSION_RESPONSE3' })
  })

  test('a connect request of 56 bytes has a silo, except before 5.2', () => {
    const bytes = captured(56, Uint8Array.of(21))
    expect(hvdef.decodeVmbusMessage(bytes)).toMatchObject({ name: 'TL_CONNECT_REQUEST2' })
    const win10 = { version: VmbusVersion.WIN10, features: 0 }
    expect(hvdef.decodeVmbusMessage(bytes, win10)).toMatchObject({ name: 'TL_CONNECT_REQUEST' })
    expect(hvdef.decodeVmbusMessage(bytes.subarray(0, 40))).toMatchObject({
      name: 'TL_CONNECT_REQUEST',
    })
  })

  test('the result is a copy that later writes to the capture do not reach', () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(36))
    bytes.set(captured(36, Uint8Array.of(8)))
    bytes[20] = 7
    const message = hvdef.decodeVmbusMessage(bytes)
    bytes.fill(0xff)
    if (message.kind === 'malformed') throw new Error(message.reason)
    expect(message.fields.messageType).toBe(8)
    expect(message.tail[0]).toBe(7)
    expect(message.tail.buffer).toBeInstanceOf(ArrayBuffer)
  })

  test.each([
    [0, 'less than a message header'],
    [7, 'less than a message header'],
    [241, 'more than the 240'],
  ])('%d bytes are malformed', (length, reason) => {
    const message = hvdef.decodeVmbusMessage(new Uint8Array(length))
    expect(message).toMatchObject({ kind: 'malformed', reason: expect.stringContaining(reason) })
  })

  test('every type decodes at its least size, and one byte less is malformed', () => {
    const win8 = { version: VmbusVersion.WIN8, features: 0 }
    for (const [name, type] of Object.entries(hvdef.VmbusMessageType)) {
      const least = hvdef.vmbusMessageMinSize(type, win8.version, 0) ?? 0
      const whole = captured(least, Uint8Array.of(type))
      const form = name === 'INITIATE_CONTACT' ? 'INITIATE_CONTACT_LEGACY' : name
      expect(hvdef.decodeVmbusMessage(whole, win8)).toMatchObject({ name: form, type })
      expect(hvdef.decodeVmbusMessage(whole.subarray(0, least - 1), win8).kind).toBe('malformed')
    }
  })

  test('arbitrary bytes never throw, with any context', () => {
    const head = fc.tuple(fc.integer({ min: 0, max: 31 }), fc.uint8Array({ maxLength: 260 }))
    const context = fc.record({
      version: fc.oneof(fc.constantFrom(...Object.values(VmbusVersion)), fc.nat()),
      features: fc.integer({ min: 0, max: 0xff }),
    })
    fc.assert(
      fc.property(head, fc.option(context, { nil: undefined }), ([type, bytes], known) => {
        // Half of the runs keep a plausible type, or nearly all would stop at the first check.
        if (bytes.length >= 4 && type < 30) bytes.set([type, 0, 0, 0])
        const message = hvdef.decodeVmbusMessage(bytes, known)
        return message.kind === 'malformed' ? message.reason !== '' : message.tail.length < 241
      }),
      { numRuns: 2000 },
    )
  })
})

describe('decodeHypercallInput', () => {
  test('a fast signal gives its connection and flag', () => {
    const low = hvdef.hypercallInputLow(HypercallCode.SIGNAL_EVENT, true)
    const block = hvdef.SignalEventInput.pack({ connectionId: 0x2001, flagNumber: 3 })
    expect(hvdef.decodeHypercallInput(low, 0, block)).toMatchObject({
      kind: 'hypercall',
      name: 'HvCallSignalEvent',
      input: { fast: true },
      fields: { connectionId: 0x2001, flagNumber: 3 },
      message: null,
    })
  })

  test('a posted VMBus message is decoded with the call that carries it', () => {
    const payload = contact(VmbusVersion.IRON, 0)
    const block = hvdef.PostMessageInput.pack({
      connectionId: 4,
      messageType: hvdef.HV_MESSAGE_TYPE_VMBUS,
      payloadSize: payload.length,
      payload,
    })
    const call = hvdef.decodeHypercallInput(HypercallCode.POST_MESSAGE, 0, block)
    expect(call).toMatchObject({
      name: 'HvCallPostMessage',
      message: { name: 'INITIATE_CONTACT', tail: new Uint8Array(0) },
    })
  })

  test('a posted message of another type is left as bytes', () => {
    const fields = { connectionId: 4, messageType: 2, payloadSize: 3, payload: new Uint8Array(3) }
    const block = hvdef.PostMessageInput.pack(fields)
    const call = hvdef.decodeHypercallInput(HypercallCode.POST_MESSAGE, 0, block)
    expect(call).toMatchObject({ kind: 'hypercall', message: null })
  })

  test('a payload size above 240 makes the message malformed, not the call', () => {
    const fields = { connectionId: 4, messageType: 1, payloadSize: 241, payload: new Uint8Array(0) }
    const block = hvdef.PostMessageInput.pack(fields)
    const call = hvdef.decodeHypercallInput(HypercallCode.POST_MESSAGE, 0, block)
    expect(call).toMatchObject({ kind: 'hypercall', message: { kind: 'malformed' } })
  })

  test('the elements of a rep call are its tail', () => {
    const head = hvdef.MapGpaPagesInput.pack({
      targetPartitionId: 2n,
      targetGpaBase: 0n,
      mapFlags: hvdef.HvMapFlags.READ,
    })
    const high = hvdef.hypercallInputHigh(2, 0)
    const call = hvdef.decodeHypercallInput(HypercallCode.MAP_GPA_PAGES, high, captured(40, head))
    expect(call).toMatchObject({ name: 'HvCallMapGpaPages', tail: new Uint8Array(16) })
  })

  test('a call without input has no fields', () => {
    const call = hvdef.decodeHypercallInput(HypercallCode.GET_PARTITION_ID, 0, new Uint8Array(0))
    expect(call).toMatchObject({ name: 'HvCallGetPartitionId', fields: null })
  })

  test.each([
    ['an unknown code', 0x0001, 0, 0, 'no hypercall has code 0x1'],
    ['a reserved bit', 0x0800_005d, 0, 8, 'reserved bits'],
    ['a rep call of no elements', 0x4b, 0, 24, 'its rep count is 0'],
    ['a simple call that repeats', 0x5d, 1, 8, 'does not repeat'],
    ['a start past the end', 0x4b, 0x0002_0002, 24, 'starts at 2 of 2'],
    ['a short block', 0x5c, 0, 255, 'takes 256 bytes, here are 255'],
    ['more than a page', 0x5c, 0, 4097, 'more than a page'],
  ])('%s is malformed', (_what, low, high, length, reason) => {
    expect(hvdef.decodeHypercallInput(low, high, new Uint8Array(length))).toMatchObject({
      kind: 'malformed',
      reason: expect.stringContaining(reason),
    })
  })

  test('every row decodes a block of its size', () => {
    for (const [name, row] of Object.entries(HypercallTable)) {
      const high = hvdef.hypercallInputHigh(row.rep ? 1 : 0, 0)
      const block = new Uint8Array(row.input?.size ?? 0)
      const call = hvdef.decodeHypercallInput(row.code, high, block)
      expect(call).toMatchObject({ kind: 'hypercall', name })
      expect(hvdef.hypercallName(row.code)).toBe(name)
    }
    expect(Object.values(HypercallTable).map((row) => row.code)).toEqual(
      Object.values(HypercallCode),
    )
  })

  test('arbitrary input values and bytes never throw', () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
    const codes = fc.constantFrom(...Object.values(HypercallCode))
    fc.assert(
      fc.property(
        fc.oneof(codes, u32),
        fc.oneof(fc.constantFrom(0, 1), u32),
        fc.uint8Array({ maxLength: 300 }),
        (low, high, block) => {
          const call = hvdef.decodeHypercallInput(low, high, block)
          return call.kind === 'malformed' ? call.reason !== '' : call.tail.length <= block.length
        },
      ),
      { numRuns: 2000 },
    )
  })
})
