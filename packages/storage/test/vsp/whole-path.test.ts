// Driver, bus, StorVSP, the SCSI target and disks in memory together.

import { describe, expect, test } from 'vitest'
import { MemoryDisk } from '@guestyard/storage'
import { DiskUnit, DvdUnit, ScsiTarget } from '@guestyard/storage/scsi'
import { openStorage } from '@guestyard/storage/testing'
import type { OpenStorage } from '@guestyard/storage/testing'
import {
  StorOutcome,
  StorRequest,
  UNMAP_LIST_BYTES,
  encodeUnmapList,
  failureText,
  readBlocks,
  synchronizeCache,
  unmapBlocks,
  writeBlocks,
  writeZeroes,
} from '@guestyard/storage/vsc'
import { HeldDisk } from '../scsi/held-disk.ts'
import { MIB, newImage, openCopy, write } from '../support/vhdx-images.ts'
import { RawGuest, answerText, readCdb, srb, writeCdb } from '../support/raw-guest.ts'

interface Machine {
  readonly storage: OpenStorage
  readonly disk: MemoryDisk
  readonly target: ScsiTarget
  readonly gpa: number
  readonly request: StorRequest
  /** Runs the request; why it failed. */
  readonly run: () => string
}

function machine(): Machine {
  const disk = new MemoryDisk({ sizeBytes: 16 * MIB, uniqueId: new Uint8Array(16).fill(9) })
  const target = new ScsiTarget()
  target.attach(0, 0, 3, new DiskUnit(disk))
  const storage = openStorage(target, { subChannels: 1 })
  const gpa = storage.allocate(64 * 1024)
  const request = new StorRequest(17, () => {})
  request.lun = 3
  return {
    storage,
    disk,
    target,
    gpa,
    request,
    run: () => {
      storage.run(request)
      return request.outcome === StorOutcome.OK ? 'ok' : failureText(request)
    },
  }
}

test('a disk is found with all that it says of itself', () => {
  const { storage } = machine()
  expect(storage.units).toMatchObject([
    {
      lun: 3,
      type: 0,
      vendor: 'Msft',
      product: 'Virtual Disk',
      blockBytes: 512,
      physicalBlockBytes: 4096,
      blockCount: 32_768,
      readOnly: false,
      writeCache: true,
      canUnmap: true,
      unmapReadsZeros: true,
    },
  ])
  expect(storage.units[0]?.name).toMatch(/^6[0-9a-f]{31}$/)
})

test('blocks are written, read, given up, zeroed and flushed', () => {
  const { storage, disk, gpa, request, run } = machine()
  const { u8, view } = storage.loopback.memory
  u8.fill(0x5a, gpa, gpa + 8192)
  request.setData(gpa, 8192)
  writeBlocks(request, 100, 16, true)
  expect(run()).toBe('ok')
  expect([disk.bytes[51_199], disk.bytes[51_200], disk.bytes[59_391], disk.bytes[59_392]]).toEqual([
    0, 0x5a, 0x5a, 0,
  ])
  encodeUnmapList(view, gpa, 100, 4)
  request.setData(gpa, UNMAP_LIST_BYTES)
  unmapBlocks(request)
  expect(run()).toBe('ok')
  writeZeroes(request, 108, 4)
  expect(run()).toBe('ok')
  synchronizeCache(request)
  expect(run()).toBe('ok')
  request.setData(gpa, 8192)
  readBlocks(request, 100, 16)
  expect(run()).toBe('ok')
  const blocks = Array.from({ length: 16 }, (_, block) => u8[gpa + block * 512])
  expect(blocks).toEqual([0, 0, 0, 0, 0x5a, 0x5a, 0x5a, 0x5a, 0, 0, 0, 0, 0x5a, 0x5a, 0x5a, 0x5a])
})

test('what a disk cannot do is told with sense', () => {
  const { gpa, request, run } = machine()
  request.setData(gpa, 512)
  readBlocks(request, 32_768, 1)
  expect(run()).toBe('illegal request 2100')
  readBlocks(request, 2 ** 40, 1)
  expect(run()).toBe('illegal request 2100')
  request.lun = 4
  readBlocks(request, 0, 1)
  expect(run()).toBe('no logical unit')
})

test('disks and DVD drives come and go, and the driver finds them', () => {
  const { storage, target } = machine()
  target.attach(0, 0, 0, new DvdUnit(null))
  storage.loopback.pump()
  expect(storage.units.map((unit) => [unit.lun, unit.type, unit.blockCount])).toEqual([
    [0, 5, 0],
    [3, 0, 32_768],
  ])
  target.detach(0, 0, 3)
  storage.loopback.pump()
  expect(storage.units.map((unit) => unit.lun)).toEqual([0])
})

test('another disc of the same size is another medium, whatever the driver asked meanwhile', () => {
  const { storage, target } = machine()
  const drive = new DvdUnit(null)
  target.attach(0, 0, 0, drive)
  storage.loopback.pump()
  const seen = (): unknown[] => {
    target.announce()
    storage.loopback.pump()
    const { type, blockBytes, blockCount, mediumChanges } = storage.units[0]!
    return [type, blockBytes, blockCount, mediumChanges]
  }
  expect(seen()).toEqual([5, 2048, 0, 0])
  drive.insert(new MemoryDisk({ sizeBytes: MIB }))
  expect(seen()).toEqual([5, 2048, 512, 1])
  drive.eject()
  drive.insert(new MemoryDisk({ sizeBytes: MIB }))
  expect(seen()).toEqual([5, 2048, 512, 2])
  expect(seen()).toEqual([5, 2048, 512, 2])
  drive.eject()
  expect(seen()).toEqual([5, 2048, 0, 2])
})

test('long zeroing goes on in polls, beside the I/O of other channels, and ends', () => {
  const { storage, request, gpa } = machine()
  writeZeroes(request, 0, 2048)
  storage.vsc.submit(request, 0)
  const other = new StorRequest(1, () => {})
  other.lun = 3
  other.setData(gpa, 4096)
  readBlocks(other, 0, 8)
  storage.vsc.submit(other, 1)
  storage.loopback.pump()
  expect([request.outcome, other.outcome]).toEqual([StorOutcome.OK, StorOutcome.OK])
})

test('an absent unit that is asked nonsense says so', () => {
  const guest = new RawGuest({ vsp: { target: new ScsiTarget() } }).shakeHands()
  const inquiry = srb([0x12, 1, 0x80, 0, 36, 0], { direction: 1, length: 36 })
  guest.writeDirect(inquiry, 1, [[0, 36, [40]]])
  guest.loopback.pump()
  expect(guest.receive().map(answerText)).toEqual(['c0000185 86 2 0 5/24/0'])
})

test('more than a unit keeps at once is told to come again, not that it failed', () => {
  const disk = new HeldDisk()
  disk.holds = true
  const target = new ScsiTarget()
  target.attach(0, 0, 0, new DiskUnit(disk))
  const guest = new RawGuest({ vsp: { target } }).shakeHands()
  guest.loopback.memory.u8.fill(1, 40 * 4096, 41 * 4096)
  const writeSame = [0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
  for (let tid = 1; tid <= 33; tid += 1) {
    guest.writeDirect(srb(writeSame, { direction: 0, length: 512 }), tid, [[0, 512, [40]]])
    guest.loopback.pump()
  }
  expect(guest.receive().map((one) => [one.tid, answerText(one)])).toEqual([
    [33, 'c0000185 5 28 0'],
  ])
})

describe('a CDB and a direction that disagree', () => {
  const PAGE = 4096

  function subject(): { guest: RawGuest; disk: MemoryDisk } {
    const disk = new MemoryDisk({ sizeBytes: MIB })
    disk.bytes.fill(0x77)
    const target = new ScsiTarget()
    target.attach(0, 0, 0, new DiskUnit(disk))
    return { disk, guest: new RawGuest({ vsp: { target } }).shakeHands() }
  }

  test('a read into pages that were given to be read from moves nothing', () => {
    const { guest } = subject()
    guest.writeDirect(srb(readCdb(0, 8), { direction: 0, length: PAGE }), 1, [[0, PAGE, [40]]])
    guest.loopback.pump()
    expect(answerText(guest.receive()[0])).toBe('0 1 0 0')
    expect(guest.loopback.memory.u8[40 * PAGE]).toBe(0)
  })

  test('a write from pages that were given to be written moves nothing', () => {
    const { guest, disk } = subject()
    guest.writeDirect(srb(writeCdb(0, 8), { direction: 1, length: PAGE }), 1, [[0, PAGE, [40]]])
    guest.loopback.pump()
    expect(answerText(guest.receive()[0])).not.toMatch(/^0 1/)
    expect(disk.bytes[0]).toBe(0x77)
  })

  test('a command that asks for more than there is room for moves what fits, and says so', () => {
    const { guest } = subject()
    guest.writeDirect(srb(readCdb(0, 16), { direction: 1, length: PAGE }), 1, [[0, PAGE, [40]]])
    guest.loopback.pump()
    expect(answerText(guest.receive()[0])).toBe('c000003c 12 0 4096')
    expect([guest.loopback.memory.u8[41 * PAGE - 1], guest.loopback.memory.u8[41 * PAGE]]).toEqual([
      0x77, 0,
    ])
  })
})

test('a poll of the bus zeroes no more for eight disks and four channels than for one, and serves other requests', () => {
  const disks = Array.from({ length: 8 }, () => new MemoryDisk({ sizeBytes: 16 * MIB }))
  const target = new ScsiTarget()
  for (const [lun, disk] of disks.entries()) {
    disk.bytes.fill(1)
    target.attach(0, 0, lun, new DiskUnit(disk))
  }
  const guest = new RawGuest({ vsp: { target } }).shakeHands()
  guest.send(Uint8Array.of(13, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0), 1)
  guest.receive()
  const channels = [guest.channel, ...guest.subChannels]
  expect(channels.map(({ state }) => state)).toEqual(['open', 'open', 'open', 'open'])
  const { server } = guest.loopback
  const zeroed = (): number => disks.reduce((sum, { bytes }) => sum + bytes.indexOf(1), 0)
  for (const channel of channels) {
    for (let lun = 0; lun < disks.length; lun += 1) {
      guest.write(srb([0x93, 1, ...Array(10).fill(0), 8, 0, 0, 0], { lun }), lun, 1, channel)
    }
    server.receiveSignal(channel.relid)
  }
  server.poll(256)
  expect(zeroed()).toBeLessThan(5 * MIB)
  guest.writeDirect(srb(readCdb(0, 1), { direction: 1, length: 512 }), 99, [[0, 512, [40]]])
  for (let before = zeroed(), poll = 0; poll < 4; before = zeroed(), poll += 1) {
    server.poll(256)
    expect(zeroed() - before).toBeLessThanOrEqual(5 * MIB)
  }
  const answers = guest.channel.incoming.drain(64)
  const tids = Array.from({ length: answers }, (_, i) => guest.channel.incoming.tidLow(i))
  expect(tids).toContain(99)
})

test('parts of VHDX blocks that are given up, which means zeros, take no more of a poll than reads', () => {
  const { disk, file } = openCopy(newImage({ virtualBytes: 64 * MIB, blockBytes: 32 * MIB }))
  for (const at of [0, 32 * MIB]) write(disk, at, new Uint8Array(512).fill(1))
  let written = 0
  const writeFile = file.write.bind(file)
  file.write = (position, bytes, at, lengthBytes) => {
    written += lengthBytes
    return writeFile(position, bytes, at, lengthBytes)
  }
  const target = new ScsiTarget()
  target.attach(0, 0, 0, new DiskUnit(disk))
  const guest = new RawGuest({ vsp: { target } }).shakeHands()
  // Four ranges of nearly 1 MiB.
  const length = 8 + 16 * 4
  const list = new DataView(guest.loopback.memory.u8.buffer, 40 * 4096)
  list.setUint16(0, length - 2)
  list.setUint16(2, length - 8)
  for (let range = 0; range < 4; range += 1) {
    list.setUint32(8 + 16 * range + 4, (range + 1) * 2048)
    list.setUint32(8 + 16 * range + 8, 2047)
  }
  const unmap = srb([0x42, 0, 0, 0, 0, 0, 0, 0, length, 0], { direction: 0, length })
  for (let tid = 0; tid < 100; tid += 1) guest.writeDirect(unmap, tid, [[0, length, [40]]])
  guest.loopback.server.receiveSignal(guest.channel.relid)
  for (let poll = 0; poll < 8; poll += 1) {
    written = 0
    guest.loopback.server.poll(256)
    expect(written).toBeLessThan(16 * MIB)
  }
})
