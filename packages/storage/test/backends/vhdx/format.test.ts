import { expect, test } from 'vitest'

import { crc32c } from '../../../src/backends/vhdx/crc32c.ts'
import {
  BAT_REGION,
  FileIdentifier,
  FileParameters,
  Header,
  LogDataDescriptor,
  LogDataSector,
  LogEntryHeader,
  LogZeroDescriptor,
  MetadataItem,
  MetadataTableEntry,
  MetadataTableHeader,
  ParentLocatorEntry,
  ParentLocatorHeader,
  RegionTableEntry,
  RegionTableHeader,
  VHDX_LOCATOR,
} from '../../../src/backends/vhdx/format.ts'
import {
  encodeParentLocator,
  parseParentLocator,
} from '../../../src/backends/vhdx/parent-locator.ts'
import { SparseFile } from '../../support/sparse-file.ts'

const GUID = '00112233-4455-6677-8899-aabbccddeeff'
const GUID_HEX = '33221100 5544 7766 8899aabbccddeeff'

/** Hexadecimal without spaces, trailing zeros cut off. */
function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/(00)+$/, '')
}

function golden(text: string): string {
  return text.replaceAll(' ', '')
}

test('headers lie as the specification has them (2.2)', () => {
  const text = Uint8Array.from('vhdxfile', (letter) => letter.charCodeAt(0))
  expect(hex(FileIdentifier.pack({ signature: text, creator: Uint8Array.of(0x47) }))).toBe(
    golden('7668647866696c65 47'),
  )
  const header = Header.pack({
    signature: 0x6461_6568,
    checksum: 0x1234_5678,
    sequenceNumber: 0x0102_0304_0506_0708n,
    fileWriteGuid: GUID,
    dataWriteGuid: GUID,
    logGuid: GUID,
    logVersion: 0,
    version: 1,
    logLength: 0x10_0000,
    logOffset: 0x0300_0000n,
  })
  expect(hex(header)).toBe(
    golden(
      `68656164 78563412 0807060504030201 ${GUID_HEX} ${GUID_HEX} ${GUID_HEX} 0000 0100 00001000 00000003`,
    ),
  )
})

test('the region table lies as the specification has it (2.2.3)', () => {
  const header = { signature: 0x6967_6572, checksum: 1, entryCount: 2 }
  expect(hex(RegionTableHeader.pack(header))).toBe(golden('72656769 01000000 02'))
  const entry = { regionId: BAT_REGION, fileOffset: 0x30_0000n, length: 0x10_0000, flags: 1 }
  expect(hex(RegionTableEntry.pack(entry))).toBe(
    golden('6677c22d 23f6 0042 9d64115e9bfd4a08 0000300000000000 00001000 01'),
  )
})

test('the metadata lie as the specification has them (2.6)', () => {
  const signature = Uint8Array.from('metadata', (letter) => letter.charCodeAt(0))
  expect(hex(MetadataTableHeader.pack({ signature, entryCount: 5 }))).toBe(
    golden('6d65746164617461 0000 05'),
  )
  const itemId = MetadataItem.FILE_PARAMETERS
  expect(hex(MetadataTableEntry.pack({ itemId, offset: 65536, length: 8, flags: 4 }))).toBe(
    golden('3767a1ca 36fa 434d b3b633f0aa44e76b 00000100 08000000 04'),
  )
  expect(hex(FileParameters.pack({ blockSize: 0x20_0000, flags: 2 }))).toBe('0000200002')
  expect(hex(ParentLocatorHeader.pack({ locatorType: VHDX_LOCATOR, keyValueCount: 3 }))).toBe(
    golden('b7ef4ab0 9ed1 814a b78925b8e9445913 0000 03'),
  )
  const pair = { keyOffset: 56, valueOffset: 84, keyLength: 28, valueLength: 76 }
  expect(hex(ParentLocatorEntry.pack(pair))).toBe(golden('38000000 54000000 1c00 4c'))
})

test('log entries lie as the specification has them (2.3.1)', () => {
  const header = LogEntryHeader.pack({
    signature: 0x6567_6f6c,
    checksum: 1,
    entryLength: 8192,
    tail: 4096,
    sequenceNumber: 7n,
    descriptorCount: 1,
    logGuid: GUID,
    flushedFileOffset: 0x30_0000n,
    lastFileOffset: 0x40_0000n,
  })
  expect(hex(header)).toBe(
    golden(
      `6c6f6765 01000000 00200000 00100000 0700000000000000 01000000 00000000 ${GUID_HEX} 0000300000000000 000040`,
    ),
  )
  const data = LogDataDescriptor.pack({
    signature: 0x6373_6564,
    trailingBytes: Uint8Array.of(1, 2, 3, 4),
    leadingBytes: Uint8Array.of(5, 6, 7, 8, 9, 10, 11, 12),
    fileOffset: 0x30_0000n,
    sequenceNumber: 7n,
  })
  expect(hex(data)).toBe(golden('64657363 01020304 05060708090a0b0c 0000300000000000 07'))
  const zero = { signature: 0x6f72_657a, zeroLength: 4096n, fileOffset: 8192n, sequenceNumber: 7n }
  expect(hex(LogZeroDescriptor.pack(zero))).toBe(
    golden('7a65726f 00000000 0010000000000000 0020000000000000 07'),
  )
  const sector = LogDataSector.pack({
    signature: 0x6174_6164,
    sequenceHigh: 1,
    data: new Uint8Array(0),
    sequenceLow: 7,
  })
  expect(hex(sector)).toBe(golden(`64617461 01000000 ${'00'.repeat(4084)} 07`))
})

test('the checksum is CRC-32C, and may leave out where it lies itself', () => {
  const digits = Uint8Array.from('123456789', (letter) => letter.charCodeAt(0))
  expect(crc32c(digits, 0, 9, -1)).toBe(0xe306_9283)
  const bytes = Uint8Array.from({ length: 64 }, (_, index) => index)
  const zeroed = bytes.slice().fill(0, 8, 12)
  expect(crc32c(bytes, 0, 64, 8)).toBe(crc32c(zeroed, 0, 64, -1))
})

test('a parent locator comes back as it was written', () => {
  const reference = {
    linkage: GUID,
    linkage2: null,
    relativePath: '..\\bäse\\parent.vhdx',
    volumePath: null,
    absolutePath: '\\\\?\\c:\\disks\\parent 🙂.vhdx',
  } as const
  const file = new SparseFile()
  const item = encodeParentLocator(reference)
  expect(parseParentLocator(file, item)).toEqual(reference)
  expect(parseParentLocator(file, encodeParentLocator({ ...reference, linkage2: GUID }))).toEqual({
    ...reference,
    linkage2: GUID,
  })
  for (let length = 0; length < item.length; length += 1) {
    expect(() => parseParentLocator(file, item.slice(0, length))).toThrow(/parent locator/)
  }
})
