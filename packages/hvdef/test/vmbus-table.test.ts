import { describe, expect, test } from 'vitest'
import {
  VMBUS_MESSAGE_MAX,
  VmbusClasses,
  VmbusFeature,
  VmbusMessageForms,
  VmbusMessageType,
  VmbusVersion,
  hasVmbusMessage,
  hvSockServiceId,
  isGuid,
  isVmbusVersion,
  usesMessageConnectionV5,
  vmbusClassName,
  vmbusMessageForm,
  vmbusMessageMinSize,
  vmbusMessageName,
  vmbusMessageRow,
  vmbusVersionName,
} from '../src/index.ts'

const V = VmbusVersion
const F = VmbusFeature
const T = VmbusMessageType

// Type, sender, least bytes on a 5.2 connection, first version: the table of the protocol, again.
const table: readonly (readonly [number, 'guest' | 'host', number, number])[] = [
  [1, 'host', 196, 0x0000_000d],
  [2, 'host', 12, 0x0000_000d],
  [3, 'guest', 8, 0x0000_000d],
  [4, 'host', 8, 0x0000_000d],
  [5, 'guest', 148, 0x0000_000d],
  [6, 'host', 20, 0x0000_000d],
  [7, 'guest', 12, 0x0000_000d],
  [8, 'guest', 20, 0x0000_000d],
  [9, 'guest', 16, 0x0000_000d],
  [10, 'host', 20, 0x0000_000d],
  [11, 'guest', 16, 0x0000_000d],
  [12, 'host', 12, 0x0000_000d],
  [13, 'guest', 12, 0x0000_000d],
  [14, 'guest', 40, 0],
  [15, 'host', 16, 0],
  [16, 'guest', 8, 0x0000_000d],
  [17, 'host', 8, 0x0001_0001],
  [18, 'guest', 28, 0x0004_0000],
  [19, 'guest', 20, 0],
  [20, 'host', 12, 0x0004_0000],
  [21, 'guest', 40, 0x0004_0000],
  [22, 'guest', 16, 0x0004_0001],
  [23, 'host', 44, 0x0004_0001],
  [24, 'host', 16, 0x0005_0003],
  [25, 'guest', 24, 0x0006_0000],
  [26, 'host', 9, 0x0006_0000],
  [27, 'guest', 8, 0x0006_0000],
  [28, 'host', 8, 0x0006_0000],
  [29, 'guest', 8, 0x0006_0000],
]

describe('message types', () => {
  test.each(table)('type %d is sent by the %s, takes %d bytes, exists from 0x%x', (...row) => {
    const [type, sender, size, since] = row
    expect(vmbusMessageRow(type)?.sender).toBe(sender)
    expect(vmbusMessageMinSize(type, V.WIN10_RS5, 0)).toBe(size)
    const everyFeature = 0xff
    expect(hasVmbusMessage(type, since, everyFeature)).toBe(true)
    // A type of any version (since 0) has no version before it.
    expect(hasVmbusMessage(type, since - 1, everyFeature)).toBe(false)
  })

  test('every type has exactly one row', () => {
    expect(table.map(([type]) => type)).toEqual(Object.values(T))
    for (const [name, type] of Object.entries(T)) expect(vmbusMessageName(type)).toBe(name)
  })

  test('an unknown type has no row, no size, and a name that says its number', () => {
    for (const type of [0, 30, 0xffff_ffff]) {
      expect(vmbusMessageRow(type)).toBeUndefined()
      expect(vmbusMessageMinSize(type, V.COPPER, 0xff)).toBeUndefined()
      expect(hasVmbusMessage(type, V.COPPER, 0xff)).toBe(false)
      expect(vmbusMessageName(type)).toBe(`message ${type}`)
    }
  })

  test('a message that needs a feature does not exist until it is granted', () => {
    expect(hasVmbusMessage(T.PAUSE, V.COPPER, 0)).toBe(false)
    expect(hasVmbusMessage(T.PAUSE, V.COPPER, F.PAUSE_RESUME)).toBe(true)
    expect(hasVmbusMessage(T.MODIFY_CONNECTION, V.COPPER, F.PAUSE_RESUME)).toBe(false)
  })

  test('no form is longer than a message may be', () => {
    for (const form of Object.values(VmbusMessageForms)) {
      expect(form.size).toBeLessThanOrEqual(VMBUS_MESSAGE_MAX)
    }
  })
})

describe('forms', () => {
  test.each([
    [T.OPENCHANNEL, V.COPPER, 0, 'OPENCHANNEL'],
    [T.OPENCHANNEL, V.COPPER, F.GUEST_SPECIFIED_SIGNAL_PARAMETERS, 'OPENCHANNEL2'],
    [T.OPENCHANNEL, V.COPPER, F.CHANNEL_INTERRUPT_REDIRECTION, 'OPENCHANNEL2'],
    [T.OPENCHANNEL, V.IRON, 0xff, 'OPENCHANNEL'],
    [T.INITIATE_CONTACT, V.WIN10_RS3, 0xff, 'INITIATE_CONTACT_LEGACY'],
    [T.INITIATE_CONTACT, V.WIN10_V5, 0xff, 'INITIATE_CONTACT'],
    [T.INITIATE_CONTACT, V.COPPER, F.CLIENT_ID, 'INITIATE_CONTACT2'],
    [T.VERSION_RESPONSE, V.IRON, 0xff, 'VERSION_RESPONSE'],
    [T.VERSION_RESPONSE, V.COPPER, 0, 'VERSION_RESPONSE2'],
    [T.VERSION_RESPONSE, V.COPPER, F.SERVER_SPECIFIED_MONITOR_PAGES, 'VERSION_RESPONSE3'],
  ])('type %d at version 0x%x with features 0x%x is %s', (type, version, features, name) => {
    expect(vmbusMessageForm(type, version, features)).toBe(name)
  })

  test('a longer form takes more bytes', () => {
    expect(vmbusMessageMinSize(T.OPENCHANNEL, V.COPPER, 0x01)).toBe(156)
    expect(vmbusMessageMinSize(T.INITIATE_CONTACT, V.COPPER, 0x08)).toBe(56)
    expect(vmbusMessageMinSize(T.VERSION_RESPONSE, V.COPPER, 0)).toBe(20)
    expect(vmbusMessageMinSize(T.VERSION_RESPONSE, V.COPPER, 0x40)).toBe(40)
  })
})

test('versions are known exactly, not by range', () => {
  expect(isVmbusVersion(0x0005_0003)).toBe(true)
  expect(isVmbusVersion(0x0005_0004)).toBe(false)
  expect(vmbusVersionName(V.IRON)).toBe('5.3')
  expect(vmbusVersionName(V.WS2008)).toBe('0.13')
  expect(usesMessageConnectionV5(V.WIN10_RS3)).toBe(false)
  expect(usesMessageConnectionV5(V.WIN10_V5)).toBe(true)
})

describe('device classes', () => {
  test('every class and instance id is a canonical GUID, and no class id appears twice', () => {
    const rows = Object.values(VmbusClasses)
    const guids = rows.flatMap((row) => [row.interfaceId, row.instanceId ?? row.interfaceId])
    expect(guids.filter((text) => !isGuid(text))).toEqual([])
    expect(new Set(rows.map((row) => row.interfaceId)).size).toBe(rows.length)
  })

  test('a class is found by its id, and an unknown one is not', () => {
    expect(vmbusClassName(VmbusClasses.keyboard.interfaceId)).toBe('keyboard')
    expect(vmbusClassName(hvSockServiceId(1))).toBeUndefined()
  })

  test('the keyboard is raw and the mouse is a pipe', () => {
    expect(VmbusClasses.keyboard.framing).toBe('raw')
    expect(VmbusClasses.mouse.framing).toBe('pipe')
  })

  test('an hv_sock service id begins with its port', () => {
    expect(hvSockServiceId(0x1_2345)).toBe('00012345-facb-11e6-bd58-64006a7986d3')
  })
})
