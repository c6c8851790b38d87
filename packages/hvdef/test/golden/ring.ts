import {
  GpaDirectHeader,
  GpaRangeHeader,
  PacketDescriptor,
  PacketTrailer,
  PipeHeader,
  RingControl,
  TransferPageHeader,
  TransferPageRange,
} from '../../src/index.ts'
import { golden } from './golden-case.ts'
import type { GoldenCase } from './golden-case.ts'

export const ringCases: readonly GoldenCase[] = [
  golden(
    RingControl,
    4096,
    { in: 0x1020, out: 0x2030, interruptMask: 1, pendingSendSize: 0x4050, featureBits: 1 },
    {
      0x00: '20 10 00 00',
      0x04: '30 20 00 00',
      0x08: '01 00 00 00',
      0x0c: '50 40 00 00',
      0x40: '01 00 00 00',
    },
  ),
  golden(
    PacketDescriptor,
    16,
    { type: 0x6, offset8: 2, length8: 3, flags: 1, transactionId: 0x1122334455667788n },
    { 0: '06 00 02 00 03 00 01 00', 8: '88 77 66 55 44 33 22 11' },
  ),
  golden(
    TransferPageHeader,
    8,
    { transferPageSetId: 0xcafe, senderOwnsSet: 1, reserved: 0, rangeCount: 2 },
    { 0: 'fe ca', 2: '01', 4: '02 00 00 00' },
  ),
  golden(
    TransferPageRange,
    8,
    { byteCount: 0x1234, byteOffset: 0x5678 },
    { 0: '34 12 00 00', 4: '78 56 00 00' },
  ),
  golden(GpaDirectHeader, 8, { rangeCount: 1 }, { 4: '01 00 00 00' }),
  golden(
    GpaRangeHeader,
    8,
    { byteCount: 0x2000, byteOffset: 0x10 },
    { 0: '00 20 00 00', 4: '10 00 00 00' },
  ),
  golden(PacketTrailer, 8, { packetStart: 0xff8 }, { 4: 'f8 0f 00 00' }),
  golden(
    PipeHeader,
    8,
    { packetType: 1, dataLength: 0x4000 },
    { 0: '01 00 00 00', 4: '00 40 00 00' },
  ),
]
