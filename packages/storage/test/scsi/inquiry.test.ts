// Golden bytes, computed by hand from the layouts in SPC-4 and SBC-3.

import { MemoryDisk } from '@guestyard/storage'
import { DiskUnit, ScsiTarget } from '@guestyard/storage/scsi'
import { expect, test } from 'vitest'
import { Initiator, hex, inquiry } from './initiator.ts'

const ID = Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index)
const ID_TEXT = 'a0a1a2a3a4a5a6a7a8a9aaabacadaeaf'

function initiator(options: Partial<ConstructorParameters<typeof MemoryDisk>[0]> = {}): Initiator {
  const disk = new MemoryDisk({ sizeBytes: 1 << 20, uniqueId: ID, ...options })
  const target = new ScsiTarget()
  target.attach(0, 0, 0, new DiskUnit(disk))
  return new Initiator(target)
}

function ascii(text: string): string {
  return hex(...new TextEncoder().encode(text))
}

test('INQUIRY tells a fixed disk of Microsoft by SPC-3', () => {
  const { status, bytes } = initiator().in(inquiry())
  expect(status).toBe(0)
  expect(hex(...bytes)).toBe(
    `000005025b000002${ascii('Msft    Virtual Disk    1.0 ')}${'00'.repeat(60)}`,
  )
})

test('page 0x00 lists what there is, and every page that it lists is answered', () => {
  const disk = initiator()
  expect(hex(...disk.in(inquiry(255, 0)).bytes)).toBe('00000006008083b0b1b2')
  for (const page of [0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2]) {
    const { status, bytes } = disk.in(inquiry(255, page))
    expect([status, bytes[1], 4 + bytes[2]! * 256 + bytes[3]!]).toEqual([0, page, bytes.length])
  }
  expect(disk.in(inquiry(255, 0x89)).sense).toBe('052400')
})

test('page 0x80 is the unique id in hexadecimal', () => {
  const { bytes } = initiator().in(inquiry(255, 0x80))
  expect(hex(...bytes)).toBe(`00800020${ascii(ID_TEXT)}`)
})

test('page 0x83 names the disk twice: vendor and id, and NAA 6 of Microsoft', () => {
  const { bytes } = initiator().in(inquiry(255, 0x83))
  expect(hex(...bytes)).toBe(
    `00830030` +
      `01010018${ascii('Msft    ')}${ID_TEXT}` +
      `01030010` +
      `60022480${ID_TEXT.slice(8)}`,
  )
})

test('page 0xb0 of a 512e disk: UNMAP of 256 MiB in 256 ranges, aligned to 4 KiB', () => {
  const { bytes } = initiator().in(inquiry(255, 0xb0))
  expect(hex(...bytes)).toBe(
    `00b0003c` +
      // WSNZ, granularity of 8 blocks, no limits of transfers
      `01000008` +
      `00000000` +
      `00000000` +
      `00000000` +
      // 524,288 blocks, 256 descriptors, granularity 8, alignment 0 valid
      `00080000` +
      `00000100` +
      `00000008` +
      `80000000` +
      // WRITE SAME of 32,768 blocks
      `0000000000000800` +
      `00`.repeat(20),
  )
})

test('page 0xb0 of a 4Kn disk that is only read: no UNMAP', () => {
  const disk = initiator({ logicalBlockBytes: 4096, readOnly: true })
  expect(hex(...disk.in(inquiry(255, 0xb0)).bytes)).toBe(
    `00b0003c01000001` + `00`.repeat(28) + `0000000000000100` + `00`.repeat(20),
  )
  expect(hex(...disk.in(inquiry(255, 0xb2)).bytes)).toBe('00b2000400000000')
})

test('pages 0xb1 and 0xb2: nothing rotates, blocks are given up and read zeros then', () => {
  const disk = initiator()
  expect(hex(...disk.in(inquiry(255, 0xb1)).bytes)).toBe(`00b1003c0001${'00'.repeat(58)}`)
  expect(hex(...disk.in(inquiry(255, 0xb2)).bytes)).toBe('00b2000400e40200')
})

test('an answer is cut to the allocation length, and the room of the initiator besides', () => {
  const disk = initiator()
  expect(disk.in(inquiry(36)).bytes.length).toBe(36)
  expect(disk.in(inquiry(0))).toMatchObject({ status: 0, transferred: 0, asked: 0 })
  expect(disk.in(inquiry(96), 20)).toMatchObject({ status: 0, transferred: 20, asked: 96 })
})

test('a page code without EVPD, and the obsolete CMDDT, are bad fields', () => {
  const disk = initiator()
  expect(disk.in([0x12, 0, 0x80, 0, 255, 0]).sense).toBe('052400')
  expect(disk.in([0x12, 2, 0, 0, 255, 0]).sense).toBe('052400')
})
