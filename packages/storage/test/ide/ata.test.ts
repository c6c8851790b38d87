import { describe, expect, test } from 'vitest'
import { DiskStatus, MemoryDisk } from '@guestyard/storage'

import { HeldDisk } from './held-disk.ts'
import { BSY, DF, DRDY, DRQ, DSC, ERR, IdeHost, pattern, patternDisk } from './ide-host.ts'

const READY = DRDY | DSC
const [ABRT, IDNF, UNC] = [0x04, 0x10, 0x40]

describe('after a reset', () => {
  test('a disk shows its signature, no error and that it is ready', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.command(0x20, 5, 3)
    host.out(0x3f6, 4)
    expect(host.status).toBe(READY | BSY)
    host.out(0x3f6, 0)
    const registers = [0x1f1, 0x1f2, 0x1f3, 0x1f4, 0x1f5, 0x1f6, 0x1f7].map((port) => host.in(port))
    expect(registers).toEqual([1, 1, 1, 0, 0, 0xa0, READY])
  })

  test('EXECUTE DEVICE DIAGNOSTIC answers for device 0 whichever is selected', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.command(0x90, 0, 0, 0xb0)
    expect(host.line).toBe(true)
    expect([host.error, host.in(0x1f2), host.in(0x1f6), host.in(0x1f7)]).toEqual([
      1,
      1,
      0xa0,
      READY,
    ])
    expect(host.line).toBe(false)
  })
})

describe('what is not there', () => {
  test('an empty channel reads as an open bus whose BSY is clear', () => {
    const host = new IdeHost({})
    host.out(0x1f2, 0x55)
    host.command(0xec)
    expect([host.in(0x1f7), host.in(0x3f6), host.in(0x1f2), host.in(0x1f0, 2)]).toEqual([
      0x7f, 0x7f, 0x7f, 0xff7f,
    ])
    expect(host.lines).toEqual([])
  })

  test('device 0 answers for an absent device 1 with a status of nothing, and takes no command', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.command(0xec, 0, 0x21, 0xf0)
    expect([host.in(0x1f7), host.in(0x3f6), host.in(0x1f2), host.in(0x1f6)]).toEqual([
      0, 0, 0x21, 0xf0,
    ])
    expect(host.lines).toEqual([])
  })

  test('both devices take the registers, and only the selected one its command', () => {
    const host = new IdeHost({ disk: patternDisk(64), slave: new MemoryDisk({ sizeBytes: 32768 }) })
    host.command(0x20, 1, 1, 0xf0)
    expect(host.status).toBe(READY | DRQ)
    expect([...host.readData(512)]).toEqual(Array.from({ length: 512 }, () => 0))
    host.out(0x1f6, 0xe0)
    expect([host.status, host.in(0x1f3)]).toEqual([READY, 1])
  })
})

describe('addresses', () => {
  test('LBA28, LBA48 and cylinder, head, sector name the same block', () => {
    const host = new IdeHost({ disk: patternDisk(4096) })
    // Cylinder 2, head 3, sector 4 of 16 heads and 63 sectors.
    const block = (2 * 16 + 3) * 63 + 3
    const want = [...pattern(block * 512, 512)]
    host.command(0x20, block)
    expect([...host.readData(512)]).toEqual(want)
    host.commandExt(0x24, block, 1)
    expect([...host.readData(512)]).toEqual(want)
    host.command(0x20, 0x00_02_04, 1, 0xa3)
    expect([...host.readData(512)]).toEqual(want)
  })

  test('INITIALIZE DEVICE PARAMETERS changes what cylinder, head and sector mean', () => {
    const host = new IdeHost({ disk: patternDisk(4096) })
    host.command(0x91, 0, 17, 0xa3)
    host.command(0x20, 0x00_01_01, 1, 0xa0)
    expect([...host.readData(512)]).toEqual([...pattern(4 * 17 * 512, 512)])
  })

  test.each([
    ['behind the end', 0xe0, 4096, 4096],
    ['across the end: the first block that is missing', 0xe0, 4095, 4096],
  ])('%s is an error of address', (_, device, lba, wrong) => {
    const host = new IdeHost({ disk: patternDisk(4096) })
    host.command(0x20, lba, 2, device)
    expect([host.status, host.error]).toEqual([READY | ERR, IDNF])
    expect(host.in(0x1f3) | (host.in(0x1f4) << 8)).toBe(wrong)
    expect(host.line).toBe(true)
  })

  test('sector 0 does not exist', () => {
    const host = new IdeHost({ disk: patternDisk(4096) })
    host.command(0x20, 0, 1, 0xa0)
    expect([host.status, host.error]).toEqual([READY | ERR, IDNF])
  })

  test('HOB shows the bytes that were written before the latest, until the next write', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.out(0x1f3, 0x12)
    host.out(0x1f3, 0x34)
    expect(host.in(0x1f3)).toBe(0x34)
    host.out(0x3f6, 0x80)
    expect(host.in(0x1f3)).toBe(0x12)
    host.out(0x1f4, 0)
    expect(host.in(0x1f3)).toBe(0x34)
  })

  test('a failed 48-bit command says where in both halves', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.commandExt(0x24, 0x1234_5678_9abc, 1)
    expect([host.status, host.error]).toEqual([READY | ERR, IDNF])
    const low = [host.in(0x1f3), host.in(0x1f4), host.in(0x1f5)]
    host.out(0x3f6, 0x80)
    const high = [host.in(0x1f3), host.in(0x1f4), host.in(0x1f5)]
    expect([...low, ...high]).toEqual([0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12])
  })
})

describe('programmed transfers', () => {
  test('a read of one sector interrupts once, when its data is there', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.command(0x20, 9)
    expect([host.line, host.in(0x1f7), host.line]).toEqual([true, READY | DRQ, false])
    expect([...host.readData(512)]).toEqual([...pattern(9 * 512, 512)])
    expect([host.status, host.line]).toEqual([READY, false])
  })

  test('a write of one sector interrupts once, when it is done', () => {
    const disk = patternDisk(64)
    const host = new IdeHost({ disk })
    host.command(0x30, 7)
    expect([host.line, host.status]).toEqual([false, READY | DRQ])
    const data = pattern(12345, 512)
    host.writeData(data)
    expect([host.line, host.status]).toEqual([true, READY])
    expect([...disk.bytes.subarray(7 * 512, 8 * 512)]).toEqual([...data])
  })

  test('the data register takes 32 bits at once, and 16 and 32 mixed', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.command(0x20, 3)
    const want = pattern(3 * 512, 512)
    const view = new DataView(want.buffer)
    expect(host.in(0x1f0, 4)).toBe(view.getUint32(0, true))
    expect(host.in(0x1f0, 2)).toBe(view.getUint16(4, true))
    expect(host.in(0x1f0, 4)).toBe(view.getUint32(6, true))
  })

  test('a count of 0 is 256 sectors, and of 48 bits 65536', () => {
    const host = new IdeHost({ disk: patternDisk(256) })
    host.command(0x40, 0, 0)
    expect(host.in(0x1f7)).toBe(READY)
    host.command(0x40, 1, 0)
    expect(host.in(0x1f7)).toBe(READY | ERR)
    host.commandExt(0x42, 0, 0)
    expect(host.in(0x1f7)).toBe(READY | ERR)
  })

  test('READ MULTIPLE interrupts once a block, the last of which may be shorter', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.command(0xc4, 0, 5)
    expect(host.error).toBe(ABRT)
    host.command(0xc6, 0, 4)
    host.command(0xc4, 10, 6)
    host.lines.length = 0
    expect(host.in(0x1f7)).toBe(READY | DRQ)
    const data = [...host.readData(4 * 512)]
    expect([host.line, host.in(0x1f7)]).toEqual([true, READY | DRQ])
    data.push(...host.readData(2 * 512))
    expect([host.line, host.in(0x1f7)]).toEqual([false, READY])
    expect(data).toEqual([...pattern(10 * 512, 6 * 512)])
  })

  test('WRITE MULTIPLE asks block by block', () => {
    const disk = patternDisk(64)
    const host = new IdeHost({ disk })
    host.command(0xc6, 0, 2)
    host.in(0x1f7)
    host.command(0xc5, 20, 3)
    const data = pattern(999, 3 * 512)
    expect(host.line).toBe(false)
    host.writeData(data.subarray(0, 1024))
    expect([host.line, host.in(0x1f7)]).toEqual([true, READY | DRQ])
    host.writeData(data.subarray(1024))
    expect([host.line, host.in(0x1f7)]).toEqual([true, READY])
    expect([...disk.bytes.subarray(20 * 512, 23 * 512)]).toEqual([...data])
  })

  test.each([3, 32, 255])('SET MULTIPLE refuses %d sectors', (count) => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.command(0xc6, 0, count)
    expect([host.status, host.error]).toEqual([READY | ERR, ABRT])
  })

  test('nIEN keeps the line down; unmasking shows what waits', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.out(0x3f6, 2)
    host.command(0x20, 1)
    expect(host.line).toBe(false)
    host.out(0x3f6, 0)
    expect(host.line).toBe(true)
  })

  test('the next command lowers the line though nobody read Status', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.command(0xe7)
    host.command(0xe7)
    expect(host.lines).toEqual([true, false, true])
  })
})

describe('a disk that takes its time', () => {
  test('is busy meanwhile: registers are its own, and commands are not heard', () => {
    const disk = new HeldDisk(patternDisk(64))
    const host = new IdeHost({ disk })
    host.command(0x20, 9)
    expect([host.status & BSY, host.line]).toEqual([BSY, false])
    host.command(0x20, 1, 1)
    expect(host.in(0x1f3)).toBe(9)
    disk.release()
    host.settle()
    expect([host.line, host.status]).toEqual([true, READY | DRQ])
    expect([...host.readData(512)]).toEqual([...pattern(9 * 512, 512)])
  })

  test('a flush ends with an interrupt when the disk says so', () => {
    const disk = new HeldDisk(patternDisk(64))
    const host = new IdeHost({ disk })
    host.command(0xe7)
    expect([host.line, host.status & BSY]).toEqual([false, BSY])
    disk.release()
    host.settle()
    expect([host.line, host.status]).toEqual([true, READY])
  })

  test('a reset in mid-transfer gives the request up, and waits until the disk has let go', () => {
    const disk = new HeldDisk(patternDisk(64))
    disk.abortsLate = true
    const host = new IdeHost({ disk })
    host.command(0x20, 9)
    host.out(0x3f6, 4)
    host.out(0x3f6, 0)
    expect([disk.aborts, host.status & BSY]).toEqual([1, BSY])
    disk.failure = DiskStatus.ABORTED
    disk.release()
    host.settle()
    expect([host.status, host.in(0x1f1), host.line]).toEqual([READY, 1, false])
    disk.isOpen = true
    host.command(0x20, 9)
    expect([...host.readData(512)]).toEqual([...pattern(9 * 512, 512)])
  })

  test.each([
    ['a read error', 0x20, DiskStatus.READ_ERROR, READY | ERR, UNC],
    ['an abort', 0x20, DiskStatus.ABORTED, READY | ERR, ABRT],
    ['a host without room', 0x30, DiskStatus.NO_SPACE, READY | ERR | DF, ABRT],
    ['a write error', 0x30, DiskStatus.WRITE_ERROR, READY | ERR | DF, ABRT],
  ])('%s is told with the block it happened at', (_, code, failure, status, error) => {
    const disk = new HeldDisk(patternDisk(64))
    const host = new IdeHost({ disk })
    disk.isOpen = true
    host.command(code, 9, 3)
    for (let sector = 0; sector < 2; sector++) {
      if (sector === 1) disk.failure = failure
      if (code === 0x30) host.writeData(pattern(0, 512))
      else if (sector === 0) host.readData(0)
    }
    if (code === 0x20) host.readData(512)
    expect([host.status, host.error, host.line]).toEqual([status, error, true])
    expect([host.in(0x1f3), host.in(0x1f2)]).toEqual([10, 2])
    host.command(0x20, 1)
    expect(host.status).toBe(READY | DRQ)
  })
})

describe('other commands', () => {
  test('a read-only disk refuses to be written and trimmed', () => {
    const host = new IdeHost({ disk: new MemoryDisk({ sizeBytes: 32768, readOnly: true }) })
    for (const code of [0x34, 0x35, 0x39, 0x06]) {
      host.command(0xc6, 0, 1)
      host.commandExt(code, 1, 1, 1)
      expect([host.status, host.error]).toEqual([READY | ERR, ABRT])
    }
  })

  test('what no disk knows is aborted', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    for (const code of [0x00, 0x08, 0xa0, 0xa1, 0xb0, 0xf8, 0xff]) {
      host.command(code)
      expect([host.status, host.error]).toEqual([READY | ERR, ABRT])
    }
  })

  test('CHECK POWER MODE knows standby, which the next read ends', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    const power = (): number => {
      host.command(0xe5)
      return host.in(0x1f2)
    }
    const seen = [power()]
    host.command(0xe0)
    seen.push(power())
    host.command(0x20)
    host.readData(512)
    seen.push(power())
    expect(seen).toEqual([0xff, 0, 0xff])
  })

  test('a disk that sleeps hears nothing but a reset', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    host.command(0xe6)
    host.in(0x1f7)
    host.command(0x20)
    expect([host.status, host.line]).toEqual([READY, false])
    host.out(0x3f6, 4)
    host.out(0x3f6, 0)
    host.command(0x20)
    expect(host.status).toBe(READY | DRQ)
  })

  test('with the write cache off, writes are durable ones', () => {
    const disk = new HeldDisk(patternDisk(64))
    disk.isOpen = true
    const host = new IdeHost({ disk })
    host.command(0xef, 0, 0, 0xe0, 0x82)
    disk.isOpen = false
    host.command(0x30, 1)
    host.writeData(pattern(0, 512))
    expect(disk.held?.durable).toBe(true)
  })

  test('a transfer mode is refused if the controller does not have it', () => {
    const host = new IdeHost({ disk: patternDisk(64) })
    const set = (mode: number): number => {
      host.command(0xef, 0, mode, 0xe0, 3)
      return host.in(0x1f7)
    }
    expect([0x00, 0x0c, 0x22, 0x42].map(set)).toEqual([READY, READY, READY, READY])
    expect([0x0d, 0x23, 0x43, 0x80].map(set)).toEqual(Array.from({ length: 4 }, () => READY | ERR))
  })
})
