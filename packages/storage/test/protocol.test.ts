// Every packet as bytes, written by hand from the layouts of openvmm's storvsp_protocol and Linux's storvsc_drv.c.

import { expect, test } from 'vitest'
import {
  StorCreateSubChannels,
  StorExecuteSrb,
  StorHeader,
  StorOperation,
  StorProperties,
  StorProtocolVersion,
  StorStatus,
  StorVersion,
} from '@guestyard/storage/protocol'

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
}

test('the packets of the handshake are laid out as hosts and guests expect them', () => {
  const head = { flags: 1, status: 0 }
  expect(hex(StorHeader.pack({ operation: StorOperation.BEGIN_INITIALIZATION, ...head }))).toBe(
    '07 00 00 00 01 00 00 00 00 00 00 00',
  )
  expect(
    hex(
      StorProtocolVersion.pack({
        operation: StorOperation.QUERY_PROTOCOL_VERSION,
        ...head,
        version: StorVersion.WIN8_1,
        revision: 0,
      }),
    ),
  ).toBe('09 00 00 00 01 00 00 00 00 00 00 00 00 06 00 00')
  expect(
    hex(
      StorProperties.pack({
        operation: StorOperation.COMPLETE_IO,
        flags: 0,
        status: StorStatus.SUCCESS,
        maxSubChannels: 3,
        propertyFlags: 1,
        maxTransferBytes: 0x40000,
      }),
    ),
  ).toBe(
    '01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 03 00 00 00 01 00 00 00 00 00 04 00 00 00 00 00 00 00 00 00',
  )
  expect(
    hex(
      StorCreateSubChannels.pack({
        operation: StorOperation.CREATE_SUB_CHANNELS,
        ...head,
        count: 2,
      }),
    ),
  ).toBe('0d 00 00 00 01 00 00 00 00 00 00 00 02 00')
})

test('a request is laid out as Linux writes it', () => {
  const payload = Uint8Array.from({ length: 20 }, (_, index) => index + 0xa0)
  const bytes = StorExecuteSrb.pack({
    operation: StorOperation.EXECUTE_SRB,
    flags: 1,
    status: 0,
    length: 52,
    srbStatus: 0x84,
    scsiStatus: 2,
    portNumber: 0x11,
    pathId: 1,
    targetId: 2,
    lun: 3,
    cdbLength: 10,
    senseLength: 20,
    direction: 1,
    properties: 0,
    dataTransferLength: 0x12345,
    payload,
    queueTag: 0xff,
    queueAction: 0x20,
    srbFlags: 0x14a,
    timeoutSeconds: 60,
    queueSortKey: 9,
  })
  expect(hex(bytes)).toBe(
    [
      '03 00 00 00 01 00 00 00 00 00 00 00',
      '34 00 84 02 11 01 02 03 0a 14 01 00 45 23 01 00',
      'a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af b0 b1 b2 b3',
      '00 00 ff 20 4a 01 00 00 3c 00 00 00 09 00 00 00',
    ].join(' '),
  )
})
