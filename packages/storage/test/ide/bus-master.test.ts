import { describe, expect, test } from 'vitest'

import { HeldDisk } from './held-disk.ts'
import { DATA, IdeHost, RAM_BYTES, TABLE, pattern, patternDisk } from './ide-host.ts'

const [READ_DMA, WRITE_DMA, TRIM] = [0xc8, 0xca, 0x06]
const [ACTIVE, ERROR, INTERRUPT] = [1, 2, 4]
const READY = 0x50
const BUSY = 0xd0

describe('a transfer', () => {
  test('goes to scattered pieces of odd lengths, and ends with its table', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.table([
      [DATA + 0x1ffe, 2],
      [DATA + 0x5000, 1000],
      [DATA, 22],
    ])
    host.command(READ_DMA, 7, 2)
    expect(host.status).toBe(BUSY)
    host.start(true)
    expect([host.in(0xffa2), host.line, host.in(0x1f7)]).toEqual([INTERRUPT, true, READY])
    const got = [
      ...host.ram(DATA + 0x1ffe, 2),
      ...host.ram(DATA + 0x5000, 1000),
      ...host.ram(DATA, 22),
    ]
    expect(got).toEqual([...pattern(7 * 512, 1024)])
  })

  test('from memory writes what is there when it is started', () => {
    const disk = patternDisk(512)
    const host = new IdeHost({ disk })
    host.table([[DATA, 0]]) // 64 KiB
    host.command(WRITE_DMA, 3, 128)
    host.memory.u8.fill(0x5a, DATA, DATA + 65536)
    host.start(false)
    expect([host.in(0xffa2), host.in(0x1f7)]).toEqual([INTERRUPT, READY])
    expect(disk.bytes.subarray(3 * 512, 131 * 512).every((byte) => byte === 0x5a)).toBe(true)
    expect([...disk.bytes.subarray(131 * 512, 132 * 512)]).toEqual([...pattern(131 * 512, 512)])
  })

  test('may be started before its command', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.table([[DATA, 512]])
    host.start(true)
    expect(host.in(0xffa2)).toBe(ACTIVE)
    host.command(READ_DMA, 5)
    expect(host.in(0xffa2)).toBe(INTERRUPT)
    expect([...host.ram(DATA, 512)]).toEqual([...pattern(5 * 512, 512)])
  })

  test('of more than the drive’s buffer goes on piece by piece', () => {
    const host = new IdeHost({ disk: patternDisk(1024) })
    host.table([0, 1, 2, 3].map((index) => [DATA + index * 65536, 0]))
    host.commandExt(0x25, 100, 512)
    host.start(true)
    expect(host.in(0xffa2)).toBe(INTERRUPT)
    expect([...host.ram(DATA, 4 * 65536)]).toEqual([...pattern(100 * 512, 4 * 65536)])
  })

  test('that ends before its table leaves the bus master active', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.table([[DATA, 1024]])
    host.command(READ_DMA, 5)
    host.start(true)
    expect(host.in(0xffa2)).toBe(ACTIVE | INTERRUPT)
    host.out(0xffa0, 0)
    host.out(0xffa2, 0x64)
    expect(host.in(0xffa2)).toBe(0x60)
  })

  test('whose table ends first waits without an interrupt, and goes on with another', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.table([[DATA, 500]])
    host.command(READ_DMA, 5, 2)
    host.start(true)
    expect([host.in(0xffa2), host.status, host.line]).toEqual([0, BUSY, false])
    host.table([[DATA + 500, 524]])
    host.start(true)
    expect([host.in(0xffa2), host.status]).toEqual([INTERRUPT, READY])
    expect([...host.ram(DATA, 1024)]).toEqual([...pattern(5 * 512, 1024)])
  })

  test('that is stopped while the disk works ends nowhere until it is started', () => {
    const disk = new HeldDisk(patternDisk(64))
    const host = new IdeHost({ disk })
    host.table([[DATA, 512]])
    host.command(READ_DMA, 5)
    host.start(true)
    host.out(0xffa0, 0)
    disk.release()
    host.settle()
    expect([host.in(0xffa2), host.status, host.ram(DATA, 4).join()]).toEqual([0, BUSY, '0,0,0,0'])
  })

  test('brings what there is before a block that can’t be read, and says which it is', () => {
    const disk = new HeldDisk(patternDisk(64))
    disk.isOpen = true
    disk.badBlock = 12
    const host = new IdeHost({ disk })
    host.table([[DATA, 16 * 512]])
    host.command(READ_DMA, 5, 16)
    host.start(true)
    expect([host.in(0x1f7), host.in(0x1f1), host.in(0x1f3), host.in(0x1f2)]).toEqual([
      READY | 1,
      0x40,
      12,
      9,
    ])
    expect([...host.ram(DATA, 7 * 512)]).toEqual([...pattern(5 * 512, 7 * 512)])
    // READ VERIFY finds it as well.
    host.command(0x40, 0, 32)
    expect([host.in(0x1f7), host.in(0x1f3)]).toEqual([READY | 1, 12])
  })

  test('is forgotten by a reset', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.table([[DATA, 512]])
    host.command(READ_DMA, 5)
    host.out(0x3f6, 4)
    host.start(true)
    host.out(0x3f6, 0)
    expect([host.in(0xffa2), host.status, host.ram(DATA, 4).join()]).toEqual([
      ACTIVE,
      READY,
      '0,0,0,0',
    ])
  })
})

describe('a table', () => {
  const cases: readonly (readonly [string, number, number, number])[] = [
    ['a piece past RAM’s end', TABLE, RAM_BYTES - 256, 512],
    ['a piece far past it', TABLE, 0xffff_fe00, 512],
    ['a piece that crosses 64 KiB', TABLE, 0x2_ff00, 512],
  ]
  test.each(cases)(
    'with %s ends with an error and an aborted command',
    (_, table, address, bytes) => {
      const host = new IdeHost({ disk: patternDisk(64) })
      host.table([[address, bytes]])
      host.out(0xffa4, table, 4)
      host.command(READ_DMA, 5)
      host.start(true)
      expect([host.in(0xffa2), host.in(0x1f7), host.in(0x1f1)]).toEqual([
        ERROR | INTERRUPT,
        READY | 1,
        4,
      ])
      host.command(0x20, 5)
      expect([...host.readData(512)]).toEqual([...pattern(5 * 512, 512)])
    },
  )

  test.each([0xf_fffc, 0xffff_fffc, RAM_BYTES])('at %i reaches no memory', (table) => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.out(0xffa4, table, 4)
    host.command(READ_DMA, 5)
    host.start(true)
    expect(host.in(0xffa2)).toBe(ERROR | INTERRUPT)
  })

  test('does not go on across 64 KiB', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    const at = 0x1_fff8
    host.memory.view.setUint32(at, DATA, true)
    host.memory.view.setUint32(at + 4, 512, true)
    host.memory.view.setUint32(at + 8, DATA + 512, true)
    host.memory.view.setUint32(at + 12, 0x8000_0200, true)
    host.out(0xffa4, at, 4)
    host.command(READ_DMA, 5, 2)
    host.start(true)
    expect(host.in(0xffa2)).toBe(ERROR | INTERRUPT)
    expect([...host.ram(DATA, 512)]).toEqual([...pattern(5 * 512, 512)])
  })

  test('without an end is read as far as the transfer goes', () => {
    const host = new IdeHost({ disk: patternDisk(256) })
    for (let at = TABLE; at < TABLE + 1024; at += 8) {
      host.memory.view.setUint32(at, DATA, true)
      host.memory.view.setUint32(at + 4, 2, true)
    }
    host.out(0xffa4, TABLE, 4)
    host.command(READ_DMA, 0)
    host.start(true)
    // 128 descriptors of 2 bytes, then zeros: 64 KiB at address 0, which takes the rest.
    expect(host.in(0xffa2)).toBe(ACTIVE | INTERRUPT)
    expect(host.controller.channels[0].busMaster.descriptors).toBe(129)
  })

  test('for the other direction is an error', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.table([[DATA, 512]])
    host.command(READ_DMA, 5)
    host.start(false)
    expect(host.in(0xffa2)).toBe(ERROR | INTERRUPT)
  })

  test('is at a multiple of four, and its registers take bytes', () => {
    const host = new IdeHost({})
    for (let i = 0; i < 4; i++) host.out(0xffa4 + i, 0x11 * (i + 1) + 2)
    expect([host.in(0xffa4, 4), host.in(0xffa6), host.in(0xffac, 4)]).toEqual([
      0x4635_2410, 0x35, 0,
    ])
  })
})

test('TRIM gives its ranges up, one after the other, and stops at one that is not there', () => {
  const disk = patternDisk(256)
  const host = new IdeHost({ disk })
  const trim = (ranges: readonly (readonly [block: number, count: number])[]): number => {
    host.memory.u8.fill(0, DATA, DATA + 512)
    ranges.forEach(([block, count], index) => {
      host.memory.view.setUint32(DATA + index * 8, block, true)
      host.memory.view.setUint16(DATA + index * 8 + 6, count, true)
    })
    host.table([[DATA, 512]])
    host.commandExt(TRIM, 0, 1, 1)
    host.start(false)
    return host.in(0x1f7)
  }
  const isZero = (block: number): boolean =>
    disk.bytes.subarray(block * 512, block * 512 + 512).every((byte) => byte === 0)
  expect(trim([[3, 2]])).toBe(READY)
  expect([2, 3, 4, 5].map(isZero)).toEqual([false, true, true, false])
  const status = trim([
    [10, 1],
    [255, 2],
    [20, 1],
  ])
  expect([status, host.error]).toEqual([READY | 1, 0x10])
  expect([10, 20].map(isZero)).toEqual([true, false])
})
