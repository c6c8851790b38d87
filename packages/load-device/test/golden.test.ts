// Every message as bytes, written by hand from the layouts in protocol.ts: the wire must not move by accident.

import { expect, test } from 'vitest'
import {
  LOAD_CLASS_ID,
  LOAD_VERSION,
  LoadEndOfStream,
  LoadError,
  LoadErrorPacket,
  LoadHeader,
  LoadKind,
  LoadMode,
  LoadSetup,
  LoadSetupResponse,
  LoadStatistics,
  LoadStatus,
  LoadSubChannelRequest,
  LoadSubChannelResponse,
} from '@guestyard/load-device/protocol'

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
}

test('the class id is the one that guests know', () => {
  expect(LOAD_CLASS_ID).toBe('07703e82-6e76-4330-ae48-91cbb5c3c50f')
})

test('a data header counts in 32 bits and says how much padding follows the payload', () => {
  const packed = LoadHeader.pack({ sequence: 0x01020304, kind: LoadKind.DATA, unusedBytes: 5 })
  expect(hex(packed)).toBe('04 03 02 01 03 00 05 00')
})

test('setup and its answer', () => {
  const setup = LoadSetup.pack({
    sequence: 0,
    kind: LoadKind.SETUP,
    version: LOAD_VERSION,
    mode: LoadMode.RELAY_SENDER,
    payloadBytes: 16384,
    batch: 32,
    streamId: 0x1122334455667788n,
  })
  expect(hex(setup)).toBe(
    '00 00 00 00 01 00 00 00 00 00 01 00 05 00 00 00 ' +
      '00 40 00 00 20 00 00 00 88 77 66 55 44 33 22 11',
  )
  const response = LoadSetupResponse.pack({
    sequence: 0,
    kind: LoadKind.SETUP_RESPONSE,
    version: LOAD_VERSION,
    status: LoadStatus.STREAM_TAKEN,
    maxPayloadBytes: 65536,
  })
  expect(hex(response)).toBe(
    '00 00 00 00 02 00 00 00 00 00 01 00 03 00 00 00 00 00 01 00 00 00 00 00',
  )
})

test('end of stream, error and the headers without a body', () => {
  const end = LoadEndOfStream.pack({
    sequence: 7,
    kind: LoadKind.END_OF_STREAM,
    packets: 0x1_0000_0007n,
  })
  expect(hex(end)).toBe('07 00 00 00 04 00 00 00 07 00 00 00 01 00 00 00')
  const error = LoadErrorPacket.pack({
    sequence: 0,
    kind: LoadKind.ERROR,
    error: LoadError.PEER_GONE,
  })
  expect(hex(error)).toBe('00 00 00 00 06 00 00 00 04 00 00 00 00 00 00 00')
  expect(hex(LoadHeader.pack({ sequence: 0, kind: LoadKind.STOP, unusedBytes: 0 }))).toBe(
    '00 00 00 00 07 00 00 00',
  )
  const reset = LoadHeader.pack({ sequence: 0, kind: LoadKind.RESET_STATISTICS, unusedBytes: 0 })
  expect(hex(reset)).toBe('00 00 00 00 08 00 00 00')
})

test('statistics are nine counters of 64 bits', () => {
  const packed = LoadStatistics.pack({
    sequence: 0,
    kind: LoadKind.STATISTICS,
    packetsReceived: 1n,
    bytesReceived: 2n,
    packetsSent: 3n,
    bytesSent: 4n,
    signalsSent: 5n,
    fullRingWaits: 6n,
    wakes: 7n,
    sequenceErrors: 8n,
    totalReceived: 0x0123_4567_89ab_cdefn,
  })
  const small = [1, 2, 3, 4, 5, 6, 7, 8].map((count) => `0${count} 00 00 00 00 00 00 00`)
  expect(hex(packed)).toBe(`00 00 00 00 05 00 00 00 ${small.join(' ')} ef cd ab 89 67 45 23 01`)
})

test('sub-channel request and answer', () => {
  const request = LoadSubChannelRequest.pack({
    sequence: 0,
    kind: LoadKind.SUB_CHANNEL_REQUEST,
    count: 3,
  })
  expect(hex(request)).toBe('00 00 00 00 09 00 00 00 03 00 00 00 00 00 00 00')
  const response = LoadSubChannelResponse.pack({
    sequence: 0,
    kind: LoadKind.SUB_CHANNEL_RESPONSE,
    status: LoadStatus.ACCEPTED,
    count: 3,
  })
  expect(hex(response)).toBe('00 00 00 00 0a 00 00 00 00 00 00 00 03 00 00 00')
})
