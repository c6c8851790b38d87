import {
  CpuidIntercept,
  InterceptHeader,
  IoPortIntercept,
  MemoryIntercept,
  MsrIntercept,
  SegmentRegister,
} from '../../src/index.ts'
import { counting, golden } from './golden-case.ts'
import type { GoldenCase } from './golden-case.ts'

const cs = { base: 0x1_0000_0002n, limit: 0xffff_ffff, selector: 8, attributes: 0xa09b }
const CS_BYTES = '02 00 00 00 01 00 00 00 ff ff ff ff 08 00 9b a0'
const header = {
  vpIndex: 3,
  instructionLengthAndCr8: 0x52,
  interceptAccess: 1,
  executionState: 0x14,
  cs,
  rip: 0xffff_8000_0000_1234n,
  rflags: 0x202n,
}
const HEADER_IMAGE = {
  0: '03 00 00 00 52 01 14 00',
  8: CS_BYTES,
  24: '34 12 00 00 00 80 ff ff',
  32: '02 02 00 00 00 00 00 00',
}

export const interceptCases: readonly GoldenCase[] = [
  golden(SegmentRegister, 16, cs, { 0: CS_BYTES }),
  golden(InterceptHeader, 40, header, HEADER_IMAGE),
  golden(
    IoPortIntercept,
    128,
    {
      header,
      portNumber: 0x3f8,
      accessInfo: 1,
      instructionByteCount: 1,
      rax: 0x41n,
      instructionBytes: counting(16, 0x10),
      ds: cs,
      es: cs,
      rcx: 1n,
      rsi: 2n,
      rdi: 3n,
    },
    {
      ...HEADER_IMAGE,
      40: 'f8 03 01 01',
      48: '41',
      56: '10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f',
      72: CS_BYTES,
      88: CS_BYTES,
      104: '01',
      112: '02',
      120: '03',
    },
  ),
  golden(
    MemoryIntercept,
    80,
    {
      header,
      cacheType: 6,
      instructionByteCount: 2,
      memoryAccessInfo: 1,
      taskPriority: 0x40,
      gva: 0x11n,
      gpa: 0xfee0_0000n,
      instructionBytes: counting(16, 0x20),
    },
    {
      ...HEADER_IMAGE,
      40: '06 00 00 00 02 01 40 00',
      48: '11',
      56: '00 00 e0 fe',
      64: '20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f',
    },
  ),
  golden(
    MsrIntercept,
    64,
    { header, msrNumber: 0x1b, rdx: 0xaan, rax: 0xbbn },
    { ...HEADER_IMAGE, 40: '1b', 48: 'aa', 56: 'bb' },
  ),
  golden(
    CpuidIntercept,
    104,
    {
      header,
      rax: 1n,
      rcx: 2n,
      rdx: 3n,
      rbx: 4n,
      defaultRax: 5n,
      defaultRcx: 6n,
      defaultRdx: 7n,
      defaultRbx: 8n,
    },
    {
      ...HEADER_IMAGE,
      40: '01',
      48: '02',
      56: '03',
      64: '04',
      72: '05',
      80: '06',
      88: '07',
      96: '08',
    },
  ),
]
