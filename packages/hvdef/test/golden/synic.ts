import {
  HvMessage,
  HvMessageHeader,
  ReferenceTscPage,
  TimerMessagePayload,
} from '../../src/index.ts'
import { counting, golden } from './golden-case.ts'
import type { GoldenCase } from './golden-case.ts'

const header = {
  messageType: 0x8000_0010,
  payloadSize: 24,
  messageFlags: 1,
  reserved: 0,
  sender: 0x1122_3344_5566_7788n,
}

export const synicCases: readonly GoldenCase[] = [
  golden(HvMessageHeader, 16, header, {
    0: '10 00 00 80',
    4: '18',
    5: '01',
    8: '88 77 66 55 44 33 22 11',
  }),
  golden(
    HvMessage,
    256,
    { header, payload: counting(240, 1) },
    {
      0: '10 00 00 80 18 01 00 00 88 77 66 55 44 33 22 11',
      16: Array.from(counting(240, 1), (byte) => byte.toString(16).padStart(2, '0')).join(' '),
    },
  ),
  golden(
    TimerMessagePayload,
    24,
    { timerIndex: 3, expirationTime: 0x0102_0304_0506_0708n, deliveryTime: 0x1112n },
    { 0: '03 00 00 00', 8: '08 07 06 05 04 03 02 01', 16: '12 11 00 00 00 00 00 00' },
  ),
  golden(
    ReferenceTscPage,
    4096,
    { sequence: 7, scale: 0x8000_0000_0000_0001n, offset: -2n },
    { 0: '07 00 00 00', 8: '01 00 00 00 00 00 00 80', 16: 'fe ff ff ff ff ff ff ff' },
  ),
]
