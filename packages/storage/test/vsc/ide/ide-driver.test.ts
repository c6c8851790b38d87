import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MemoryDisk } from '@guestyard/storage'
import { DvdUnit, ScsiTarget } from '@guestyard/storage/scsi'
import {
  StorOutcome,
  StorRequest,
  encodeUnmapList,
  failureText,
  inquiry,
  readBlocks,
  synchronizeCache,
  testUnitReady,
  unmapBlocks,
  writeBlocks,
  writeZeroes,
} from '@guestyard/storage/vsc'

import { pattern, patternDisk } from '../../ide/ide-host.ts'
import { IdeGuest } from './ide-guest.ts'

const DATA = 0x1_0000

function dvdOf(blocks: number): ScsiTarget {
  const target = new ScsiTarget()
  target.attach(0, 0, 0, new DvdUnit(patternDisk(blocks * 4)))
  return target
}

describe('looking for drives', () => {
  test('finds a disk and a DVD drive, and what they say of themselves', () => {
    const guest = new IdeGuest({ disk: patternDisk(2048), dvd: dvdOf(100) })
    expect(guest.start()).toMatchObject([
      {
        path: 0,
        target: 0,
        type: 0,
        product: 'Virtual HD',
        blockCount: 2048,
        blockBytes: 512,
        physicalBlockBytes: 4096,
        writeCache: true,
        canUnmap: true,
        unmapReadsZeros: true,
      },
      { target: 1, type: 5, product: 'Virtual CD', blockCount: 100, blockBytes: 2048 },
    ])
  })

  test('finds two disks, and none on an empty channel', () => {
    const two = new IdeGuest({ disk: patternDisk(64), second: patternDisk(128) })
    expect(two.start().map(({ target, blockCount }) => [target, blockCount])).toEqual([
      [0, 64],
      [1, 128],
    ])
    expect(new IdeGuest({}).start()).toEqual([])
    expect(new IdeGuest({ dvd: dvdOf(10) }).start().map(({ target }) => target)).toEqual([1])
  })
})

describe.each(['dma', 'pio'] as const)('by %s', (transfers) => {
  test('blocks are read and written where they belong', () => {
    const disk = patternDisk(4096)
    const guest = new IdeGuest({ disk }, transfers)
    guest.start()
    const read = guest.request((request) => readBlocks(request, 100, 40), DATA, 40 * 512)
    expect([read.outcome, read.transferredBytes]).toEqual([StorOutcome.OK, 40 * 512])
    const got = guest.memory.u8.slice(DATA, DATA + 40 * 512)
    expect([...got]).toEqual([...pattern(100 * 512, 40 * 512)])
    const write = guest.request((request) => writeBlocks(request, 3000, 40, true), DATA, 40 * 512)
    expect(write.outcome).toBe(StorOutcome.OK)
    expect([...disk.bytes.subarray(3000 * 512, 3040 * 512)]).toEqual([...got])
  })

  test('data may lie anywhere in scattered pages', () => {
    const guest = new IdeGuest({ disk: patternDisk(4096) }, transfers)
    guest.start()
    const request = new StorRequest(4, () => {})
    request.pfns.set([0x20, 0x31, 0x30, 0x32])
    request.offsetBytes = 0xffc
    request.lengthBytes = 16 * 512
    readBlocks(request, 8, 16)
    guest.driver.submit(request, 0)
    guest.run()
    expect(request.outcome).toBe(StorOutcome.OK)
    const { u8 } = guest.memory
    const got = [
      ...u8.slice(0x20ffc, 0x21000),
      ...u8.slice(0x31000, 0x32000),
      ...u8.slice(0x30000, 0x30ffc),
    ]
    expect(got).toEqual([...pattern(8 * 512, 16 * 512)])
  })

  test('a block that is not there is the request’s error, and the next one goes on', () => {
    const guest = new IdeGuest({ disk: patternDisk(64) }, transfers)
    guest.start()
    const bad = guest.request((request) => readBlocks(request, 60, 8), DATA, 4096)
    expect(failureText(bad)).toContain('illegal request')
    const good = guest.request((request) => readBlocks(request, 56, 8), DATA, 4096)
    expect(good.outcome).toBe(StorOutcome.OK)
  })

  test('a DVD is read in blocks of its own', () => {
    const guest = new IdeGuest({ dvd: dvdOf(100), disk: patternDisk(8) }, transfers)
    guest.start()
    const read = guest.request(
      (request) => {
        request.target = 1
        readBlocks(request, 7, 3)
      },
      DATA,
      3 * 2048,
    )
    expect(read.outcome).toBe(StorOutcome.OK)
    expect([...guest.memory.u8.slice(DATA, DATA + 3 * 2048)]).toEqual([
      ...pattern(7 * 2048, 3 * 2048),
    ])
  })
})

test('4 KiB are 17 accesses by the bus master, and 1035 by PIO', () => {
  const counts = (['dma', 'pio'] as const).map((transfers) => {
    const guest = new IdeGuest({ disk: patternDisk(64) }, transfers)
    guest.start()
    guest.request((request) => readBlocks(request, 8, 8), DATA, 4096)
    return [guest.reads, guest.writes]
  })
  expect(counts).toEqual([
    [2, 15],
    [1025, 10],
  ])
})

describe('other commands', () => {
  test('flush, discard and zeros reach the disk', () => {
    const disk = patternDisk(256)
    const guest = new IdeGuest({ disk })
    guest.start()
    expect(guest.request(synchronizeCache).outcome).toBe(StorOutcome.OK)
    encodeUnmapList(guest.memory.view, DATA, 10, 3)
    expect(guest.request(unmapBlocks, DATA, 24).outcome).toBe(StorOutcome.OK)
    expect(guest.request((request) => writeZeroes(request, 20, 2)).outcome).toBe(StorOutcome.OK)
    const zeros = Array.from({ length: 24 }, (_, block) =>
      disk.bytes.subarray(block * 512, block * 512 + 512).every((byte) => byte === 0),
    )
    expect(zeros.flatMap((isZero, block) => (isZero ? [block] : []))).toEqual([10, 11, 12, 20, 21])
  })

  test('what ATA has no word for is refused, and nobody is no unit', () => {
    const guest = new IdeGuest({ disk: new MemoryDisk({ sizeBytes: 32768, readOnly: true }) })
    guest.start()
    const asked = guest.request((request) => inquiry(request, 0x83), DATA, 255)
    expect(failureText(asked)).toContain('illegal request')
    const written = guest.request((request) => writeBlocks(request, 0, 1, false), DATA, 512)
    expect(written.outcome).toBe(StorOutcome.CHECK_CONDITION)
    const absent = guest.request((request) => {
      request.target = 1
      testUnitReady(request)
    })
    expect(absent.outcome).toBe(StorOutcome.NO_LOGICAL_UNIT)
  })

  test('an empty DVD drive says that there is no medium', () => {
    const target = new ScsiTarget()
    target.attach(0, 0, 0, new DvdUnit(null))
    const guest = new IdeGuest({ disk: patternDisk(8), dvd: target })
    expect(guest.start()[1]).toMatchObject({ type: 5, blockCount: 0 })
    const ready = guest.request((request) => {
      request.target = 1
      testUnitReady(request)
    })
    expect(failureText(ready)).toContain('not ready')
  })

  test('requests that come at once are done one after the other', () => {
    const guest = new IdeGuest({ disk: patternDisk(256) })
    guest.start()
    const order: number[] = []
    for (const block of [3, 1, 2]) {
      const request = new StorRequest(1, () => order.push(block))
      request.setData(DATA + block * 4096, 512)
      readBlocks(request, block, 1)
      guest.driver.submit(request, 0)
    }
    guest.run()
    expect(order).toEqual([3, 1, 2])
  })
})

test('whatever a controller answers, the driver neither throws nor leaves its own pages', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.nat(0xff), fc.nat(0xffff_ffff)), {
        minLength: 1,
        maxLength: 200,
        size: 'max',
      }),
      fc.constantFrom('dma' as const, 'pio' as const),
      fc.nat(3),
      (values, transfers, every) => {
        const guest = new IdeGuest({ disk: patternDisk(64), dvd: dvdOf(8) }, transfers)
        let index = 0
        guest.tamper = (_, value) =>
          index++ % (every + 1) === 0 ? values[index % values.length]! : value
        guest.driver.start()
        guest.run(20_000)
        for (const target of [0, 1]) {
          const request = new StorRequest(2, () => {})
          request.target = target
          request.setData(DATA, 2048)
          readBlocks(request, 1, target === 0 ? 4 : 1)
          guest.driver.submit(request, 0)
          guest.run(20_000)
        }
        const { u8 } = guest.memory
        const touched = u8.findIndex(
          (byte, at) =>
            byte !== 0 && !(at >= 0x1000 && at < 0x2000) && !(at >= DATA && at < DATA + 2048),
        )
        expect(touched).toBe(-1)
      },
    ),
    { numRuns: 30 },
  )
})
