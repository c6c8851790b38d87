import { MemoryDisk } from '@guestyard/storage'
import { DvdUnit, ScsiOutcome, ScsiTarget } from '@guestyard/storage/scsi'
import { describe, expect, test } from 'vitest'
import { HeldDisk } from './held-disk.ts'
import {
  Initiator,
  TEST_UNIT_READY,
  be,
  hex,
  packed,
  inquiry,
  pattern,
  read10,
  write10,
} from './initiator.ts'

const GOOD = { outcome: 1, status: 0, sense: '' }
const SIZE = 2048 * 100
const EVENTS = [0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0]

function scene(
  disk: HeldDisk | MemoryDisk | null = new MemoryDisk({ sizeBytes: SIZE, readOnly: true }),
) {
  const unit = new DvdUnit(disk)
  const target = new ScsiTarget()
  target.attach(0, 0, 0, unit)
  return { unit, target, initiator: new Initiator(target) }
}

function medium(): MemoryDisk {
  return new MemoryDisk({ sizeBytes: SIZE, readOnly: true })
}

describe('a drive with a medium', () => {
  test('INQUIRY: type 5, removable', () => {
    const { bytes } = scene().initiator.in(inquiry())
    expect(hex(...bytes.subarray(0, 8))).toBe('058005025b000002')
    expect(new TextDecoder().decode(bytes.subarray(8, 36))).toBe('Msft    Virtual DVD-ROM 1.0 ')
    expect(scene().initiator.in(inquiry(255, 0xb0)).sense).toBe('052400')
  })

  test('a drive has the pages that tell what it was given', () => {
    expect(hex(...scene().initiator.in(inquiry(255, 0)).bytes)).toBe('0500000100')
    expect(scene().initiator.in(inquiry(255, 0x83)).sense).toBe('052400')
    const target = new ScsiTarget()
    const uniqueId = new Uint8Array(16).fill(7)
    target.attach(0, 0, 0, new DvdUnit(null, { serialNumber: 'D1', uniqueId }))
    const drive = new Initiator(target)
    expect(hex(...drive.in(inquiry(255, 0)).bytes)).toBe('05000003008083')
    expect(hex(...drive.in(inquiry(255, 0x80)).bytes)).toBe('058000024431')
    expect(drive.in(inquiry(255, 0x83)).bytes.length).toBe(52)
  })

  test('blocks of 2,048 bytes: the capacity, READ (10) and (12), and their end', () => {
    const disk = medium()
    disk.bytes.set(pattern(SIZE))
    const { initiator } = scene(disk)
    expect(hex(...initiator.in([0x25, ...be(0, 9)]).bytes)).toBe('0000006300000800')
    const expected = pattern(SIZE).subarray(10 * 2048, 13 * 2048)
    expect(initiator.in(read10(10, 3)).bytes).toEqual(expected)
    expect(initiator.in([0xa8, 0, ...be(10, 4), ...be(3, 4), 0, 0]).bytes).toEqual(expected)
    expect(initiator.in(read10(99, 2)).sense).toBe('052100')
    expect(initiator.in(read10(0, 2), 3000)).toMatchObject({
      ...GOOD,
      transferred: 2048,
      asked: 4096,
    })
    expect(initiator.out(write10(0, 1), pattern(2048)).sense).toBe('052000')
  })

  test('blocks that don’t fill one of 2,048 bytes are left out', () => {
    const { initiator } = scene(new MemoryDisk({ sizeBytes: 2048 * 5 + 1536, readOnly: true }))
    expect(initiator.in([0x25, ...be(0, 9)]).bytes[3]).toBe(4)
  })

  test('what is no medium is not taken', () => {
    expect(() => new DvdUnit(new MemoryDisk({ sizeBytes: 1536 }))).toThrow(RangeError)
    const wide = new MemoryDisk({ sizeBytes: 1 << 20, logicalBlockBytes: 4096 })
    const { unit, initiator } = scene(null)
    expect(() => unit.insert(wide)).toThrow(RangeError)
    expect(initiator.in(TEST_UNIT_READY).sense).toBe('023a01')
  })

  test('READ TOC: one data track and the lead-out, by block and by minute', () => {
    const { initiator } = scene()
    const toc = (flags: number, format: number, track: number) =>
      initiator.in([0x43, flags, format, 0, 0, 0, track, ...be(255, 2), 0])
    expect(hex(...toc(0, 0, 0).bytes)).toBe(packed('00120101 0014010000000000 0014aa0000000064'))
    expect(hex(...toc(2, 0, 0).bytes)).toBe(packed('00120101 0014010000000200 0014aa0000000319'))
    expect(hex(...toc(0, 0, 0xaa).bytes)).toBe(packed('000a0101 0014aa0000000064'))
    expect(hex(...toc(0, 1, 0).bytes)).toBe(packed('000a0101 0014010000000000'))
    expect(toc(0, 0, 2).sense).toBe('052400')
    expect(toc(0, 2, 0).sense).toBe('052400')
  })

  test('GET CONFIGURATION: the profile goes by the size, and features by what is asked', () => {
    const { initiator } = scene()
    const get = (one: Initiator, type: number, start: number) =>
      one.in([0x46, type, ...be(start, 2), 0, 0, 0, ...be(4096, 2), 0]).bytes
    const all = get(initiator, 0, 0)
    expect([all[3]! + 4, all[6]! * 256 + all[7]!]).toEqual([all.length, 0x0008])
    const codes: number[] = []
    for (let at = 8; at < all.length; at += 4 + all[at + 3]!) {
      codes.push(all[at]! * 256 + all[at + 1]!)
    }
    expect(codes).toEqual([0x0000, 0x0001, 0x0002, 0x0003, 0x0010, 0x001e, 0x001f, 0x0105])
    expect(hex(...get(initiator, 2, 0x0003).subarray(8))).toBe('0003030429000000')
    expect(hex(...get(initiator, 2, 0x0010).subarray(8))).toBe('001001080000080000010000')
    expect(hex(...get(initiator, 1, 0x001e).subarray(8))).toBe(packed('001e090400000000 01050300'))
    const held = new HeldDisk()
    held.geometry = { ...held.geometry, blockCount: (4.7e9 / 512) | 0 }
    const dvd = get(scene(held).initiator, 2, 0)
    expect(hex(...dvd.subarray(6))).toBe(packed('0010 00000308 00100100 00080000'))
    expect(get(scene(null).initiator, 1, 0x0010).length).toBe(8 + 4)
    expect(initiator.in([0x46, 3, 0, 0, 0, 0, 0, 0, 255, 0]).sense).toBe('052400')
  })

  test('READ DISC INFORMATION: finished, one session of one track', () => {
    const { initiator } = scene()
    const { bytes } = initiator.in([0x51, 0, 0, 0, 0, 0, 0, ...be(255, 2), 0])
    expect(hex(...bytes)).toBe(
      `00200e0101010120${'00'.repeat(8)}${'ff'.repeat(8)}${'00'.repeat(10)}`,
    )
  })

  test('READ TRACK INFORMATION: the one track, by block, number or session', () => {
    const { initiator } = scene()
    const track = (type: number, address: number) =>
      initiator.in([0x52, type, ...be(address, 4), 0, ...be(255, 2), 0])
    const expected = `0022010100040100${'00'.repeat(16)}00000064${'00'.repeat(8)}`
    for (const [type, address] of [
      [0, 0],
      [0, 99],
      [1, 1],
      [2, 1],
    ] as const) {
      expect(hex(...track(type, address).bytes)).toBe(expected)
    }
    for (const [type, address] of [
      [0, 100],
      [1, 2],
      [2, 0],
      [3, 1],
    ] as const) {
      expect(track(type, address).sense).toBe('052400')
    }
  })

  test('MODE SENSE has the capabilities page alone; MECHANISM STATUS one slot', () => {
    const { initiator } = scene()
    const page = packed('2a120b007000 2900 1b900000 02001b90 00000000')
    const ten = initiator.in([0x5a, 0, 0x2a, 0, 0, 0, 0, ...be(255, 2), 0]).bytes
    expect(hex(...ten)).toBe(`001a000000000000${page}`)
    expect(hex(...initiator.in([0x1a, 0, 0x3f, 0, 255, 0]).bytes)).toBe(`17000000${page}`)
    expect(initiator.in([0x1a, 0, 0x08, 0, 255, 0]).sense).toBe('052400')
    expect(initiator.in([0x1a, 0, 0xea, 0, 255, 0]).sense).toBe('053900')
    const status = initiator.in([0xbd, 0, 0, 0, 0, 0, 0, 0, ...be(255, 2), 0, 0])
    expect(hex(...status.bytes)).toBe('0000000000010000')
  })

  test('seeking and speeds are taken, the rest is not known', () => {
    const { initiator } = scene()
    expect(initiator.in([0x2b, ...be(0, 9)])).toMatchObject(GOOD)
    expect(initiator.in([0xbb, ...be(0, 11)])).toMatchObject(GOOD)
    for (const opcode of [0x35, 0x42, 0xad, 0xbe]) {
      expect(initiator.in([opcode, ...be(0, 11)]).sense).toBe('052000')
    }
  })
})

describe('media that come and go', () => {
  test('an empty drive is not ready, but answers what is about the drive', () => {
    const { initiator } = scene(null)
    for (const cdb of [
      TEST_UNIT_READY,
      [0x25, ...be(0, 9)],
      read10(0, 1),
      [0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0],
      [0x51, ...be(0, 9)],
    ]) {
      expect(initiator.in(cdb)).toMatchObject({ status: 2, sense: '023a01' })
    }
    expect(initiator.in(inquiry())).toMatchObject(GOOD)
    expect(hex(...initiator.in(EVENTS).bytes)).toBe('0006041000000000')
  })

  test('insertion: told once as an attention, once as an event', () => {
    const { unit, initiator } = scene(null)
    initiator.in(TEST_UNIT_READY)
    unit.insert(medium())
    expect(hex(...initiator.in(EVENTS).bytes)).toBe('0006041002020000')
    expect(hex(...initiator.in(EVENTS).bytes)).toBe('0006041000020000')
    expect(initiator.in(TEST_UNIT_READY).sense).toBe('062800')
    expect(initiator.in(TEST_UNIT_READY)).toMatchObject(GOOD)
    const removed = unit.eject()
    expect(removed).not.toBeNull()
    expect(unit.eject()).toBeNull()
    expect(hex(...initiator.in(EVENTS).bytes)).toBe('0006041003000000')
    expect(initiator.in(TEST_UNIT_READY).sense).toBe('023a01')
  })

  test('no event of another class, and no waiting for one', () => {
    const { initiator } = scene()
    expect(hex(...initiator.in([0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8, 0]).bytes)).toBe('00028010')
    expect(initiator.in([0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8, 0]).sense).toBe('052400')
  })

  test('a guest ejects and loads: the medium is in the tray meanwhile', () => {
    const { unit, initiator } = scene()
    initiator.in(TEST_UNIT_READY)
    expect(initiator.in([0x1b, 0, 0, 0, 2, 0])).toMatchObject(GOOD)
    expect([unit.isTrayOpen, unit.disk !== null]).toEqual([true, true])
    expect(initiator.in(read10(0, 1)).sense).toBe('023a02')
    expect(hex(...initiator.in(EVENTS).bytes)).toBe('0006041003030000')
    expect(initiator.in([0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0]).bytes[1]).toBe(0x10)
    expect(initiator.in([0x1b, 0, 0, 0, 3, 0])).toMatchObject(GOOD)
    expect(initiator.in(TEST_UNIT_READY).sense).toBe('062800')
    expect(initiator.in(read10(0, 1))).toMatchObject(GOOD)
  })

  test('a locked tray stays shut for the guest, not for the host', () => {
    const { unit, target, initiator } = scene()
    expect(initiator.in([0x1e, 0, 0, 0, 1, 0])).toMatchObject(GOOD)
    expect(unit.isLocked).toBe(true)
    expect(initiator.in([0x1b, 0, 0, 0, 2, 0]).sense).toBe('055302')
    expect(initiator.in([0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255, 0]).bytes[14]).toBe(0x2b)
    expect(initiator.in([0x1e, 0, 0, 0, 2, 0]).sense).toBe('052400')
    expect(unit.eject()).not.toBeNull()
    target.resetAll()
    expect(unit.isLocked).toBe(false)
  })

  test('ejected while it is read: the command ends once, and the disk is let go', () => {
    const disk = new HeldDisk(SIZE, { readOnly: true })
    const { unit, target, initiator } = scene(disk)
    disk.holds = true
    disk.abortsAtOnce = false
    const request = initiator.request(read10(0, 1), 2, new Uint8Array(2048))
    target.execute(request)
    unit.eject()
    expect([request.outcome, unit.inFlight]).toEqual([ScsiOutcome.PENDING, 1])
    const next = medium()
    unit.insert(next)
    expect(initiator.in(TEST_UNIT_READY).sense).toBe('062800')
    expect(initiator.in(read10(0, 1))).toMatchObject(GOOD)
    expect(target.poll(1)).toBe(1)
    expect([request.outcome, unit.inFlight]).toEqual([ScsiOutcome.ABORTED, 0])
    expect(target.nextDeadlineMs()).toBe(Infinity)
  })
})
