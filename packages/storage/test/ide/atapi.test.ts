import { describe, expect, test } from 'vitest'

import { FakeDvd } from './fake-dvd.ts'
import { BSY, DATA, DRDY, DRQ, ERR, IdeHost } from './ide-host.ts'

const BASE = 0x170
const MASTER = 0xffa8
const DMA = 1

function drive(): { dvd: FakeDvd; host: IdeHost } {
  const dvd = new FakeDvd()
  return { dvd, host: new IdeHost({ dvd }) }
}

/** Device, features, byte limit, PACKET and its twelve bytes. */
function packet(host: IdeHost, cdb: readonly number[], limit = 0xfffe, features = 0): void {
  host.out(BASE + 6, 0xa0)
  host.out(BASE + 1, features)
  host.out(BASE + 4, limit & 0xff)
  host.out(BASE + 5, limit >>> 8)
  host.out(BASE + 7, 0xa0)
  expect([host.in(0x376), host.in(BASE + 2)]).toEqual([DRDY | DRQ, 1])
  expect(host.controller.channels[1].isAsserted).toBe(false)
  host.writeData(
    Uint8Array.from({ length: 12 }, (_, i) => cdb[i] ?? 0),
    BASE,
  )
}

/** Interrupt reason, byte count, Status; the interrupt is taken. */
function look(host: IdeHost): { asserted: boolean; reason: number; bytes: number; status: number } {
  const asserted = host.controller.channels[1].isAsserted
  const reason = host.in(BASE + 2)
  const bytes = host.in(BASE + 4) | (host.in(BASE + 5) << 8)
  return { asserted, reason, bytes, status: host.in(BASE + 7) }
}

const DONE = { asserted: true, reason: 3, bytes: 0, status: DRDY }

describe('a packet device', () => {
  test('is told by its signature, and not ready before its first command', () => {
    const { host } = drive()
    const registers = [1, 2, 3, 4, 5, 7].map((offset) => host.in(BASE + offset))
    expect(registers).toEqual([1, 1, 1, 0x14, 0xeb, 0])
  })

  test.each([0xec, 0x20])('shows it when it is asked as a disk: %i', (code) => {
    const { host } = drive()
    host.out(BASE + 4, 0)
    host.out(BASE + 5, 0)
    host.out(BASE + 7, code)
    expect([host.in(BASE + 7), host.in(BASE + 1)]).toEqual([DRDY | ERR, 4])
    expect([host.in(BASE + 4), host.in(BASE + 5)]).toEqual([0x14, 0xeb])
  })

  test('identifies itself as a removable drive with packets of twelve bytes', () => {
    const { host } = drive()
    host.out(BASE + 7, 0xa1)
    expect(look(host).status).toBe(DRDY | DRQ)
    const page = host.readData(512, BASE)
    const view = new DataView(page.buffer)
    const words = [0, 49, 53, 63, 80, 82, 85, 88].map((word) => view.getUint16(word * 2, true))
    expect(words).toEqual([0x85c0, 0x0b00, 6, 7, 0xf0, 0x218, 0x218, 7])
    expect(page.reduce((sum, byte) => (sum + byte) & 0xff, 0)).toBe(0)
    expect(host.in(0x376)).toBe(DRDY)
  })
})

describe('a packet', () => {
  test('without data ends with one interrupt', () => {
    const { dvd, host } = drive()
    packet(host, [0x00])
    expect(look(host)).toEqual(DONE)
    expect(dvd.cdbs).toEqual([[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]])
  })

  test('gives its data in blocks of at most what the host allows, each with an interrupt', () => {
    const { dvd, host } = drive()
    dvd.answer = Uint8Array.from({ length: 37 }, (_, i) => i + 1)
    packet(host, [0x12, 0, 0, 0, 255], 17)
    const got: number[] = []
    for (const bytes of [16, 16, 5]) {
      expect(look(host)).toEqual({ asserted: true, reason: 2, bytes, status: DRDY | DRQ })
      got.push(...host.readData(bytes, BASE))
    }
    expect(got).toEqual([...dvd.answer])
    expect(look(host)).toEqual(DONE)
  })

  test('that reads more than the buffer holds is several READs', () => {
    const { dvd, host } = drive()
    packet(host, [0x28, 0, 0, 0, 1, 0, 0, 0, 70], 0xffff)
    const got: number[] = []
    for (const bytes of [0xfffe, 2, 0xfffe, 2, 6 * 2048]) {
      expect(look(host)).toMatchObject({ reason: 2, bytes })
      got.push(...host.readData(bytes, BASE))
    }
    expect(look(host)).toEqual(DONE)
    expect(got.length).toBe(70 * 2048)
    expect(got.every((byte, at) => byte === ((256 + Math.floor(at / 2048)) & 0xff))).toBe(true)
    expect(dvd.cdbs.map((cdb) => [cdb[4], cdb[5], cdb[8]])).toEqual([
      [1, 0, 32],
      [1, 32, 32],
      [1, 64, 6],
    ])
  })

  test('moves its data by the bus master when it says so', () => {
    const { host } = drive()
    host.table(
      [0, 1, 2].map((index) => [DATA + index * 65536, index < 2 ? 0 : 12288]),
      MASTER,
    )
    packet(host, [0xa8, 0, 0, 0, 0, 9, 0, 0, 0, 70], 0, DMA)
    host.start(true, MASTER)
    expect(host.in(MASTER + 2)).toBe(4)
    expect(look(host)).toEqual(DONE)
    const blocks = Array.from({ length: 70 }, (_, i) => host.ram(DATA + i * 2048 + 2047, 1)[0])
    expect(blocks).toEqual(Array.from({ length: 70 }, (_, i) => i + 9))
  })

  test('takes the host’s data before its command', () => {
    const { dvd, host } = drive()
    packet(host, [0x55, 0x10, 0, 0, 0, 0, 0, 0, 10])
    expect(look(host)).toEqual({ asserted: true, reason: 0, bytes: 10, status: DRDY | DRQ })
    expect(dvd.cdbs).toEqual([])
    host.writeData(
      Uint8Array.from({ length: 10 }, (_, i) => i),
      BASE,
    )
    expect(look(host)).toEqual(DONE)
    expect(dvd.sent).toEqual([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]])
  })

  test('that fails leaves its sense for REQUEST SENSE, once', () => {
    const { dvd, host } = drive()
    dvd.sense = [5, 0x20]
    packet(host, [0xff])
    expect(look(host)).toEqual({ ...DONE, status: DRDY | ERR })
    expect(host.in(BASE + 1)).toBe(0x54)
    packet(host, [0x03, 0, 0, 0, 14])
    expect(look(host)).toMatchObject({ reason: 2, bytes: 14 })
    const sense = host.readData(14, BASE)
    expect([sense[0], sense[2], sense[12]]).toEqual([0x70, 5, 0x20])
    expect(look(host)).toEqual(DONE)
    expect(dvd.cdbs.length).toBe(1)
    packet(host, [0x03, 0, 0, 0, 14])
    expect(dvd.cdbs.length).toBe(2)
  })

  test('whose host allows no byte is aborted when there are some', () => {
    const { dvd, host } = drive()
    dvd.answer = new Uint8Array(8)
    packet(host, [0x25], 0)
    expect(look(host).status).toBe(DRDY | ERR)
    expect(host.in(BASE + 1)).toBe(4)
  })

  test('with overlapped work is refused', () => {
    const { host } = drive()
    host.out(BASE + 1, 2)
    host.out(BASE + 7, 0xa0)
    expect(host.in(BASE + 7)).toBe(DRDY | ERR)
  })

  test('in mid-command is given up by DEVICE RESET, which BSY does not keep away', () => {
    const { dvd, host } = drive()
    dvd.holds = true
    packet(host, [0x1b])
    expect(host.in(0x376) & BSY).toBe(BSY)
    host.out(BASE + 7, 0xa0)
    host.out(BASE + 7, 0x08)
    expect([dvd.aborts, host.in(0x376), host.in(BASE + 5)]).toEqual([1, 0, 0xeb])
    expect(host.controller.channels[1].isAsserted).toBe(false)
  })
})
