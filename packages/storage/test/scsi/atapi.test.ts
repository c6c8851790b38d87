// The DVD unit behind the packet drive of the IDE controller: the two halves of ATAPI together, as a driver meets them.

import { MemoryDisk } from '@guestyard/storage'
import { DvdUnit, ScsiTarget } from '@guestyard/storage/scsi'
import { expect, test } from 'vitest'
import { BSY, DATA, DRDY, DRQ, ERR, IdeHost } from '../ide/ide-host.ts'
import { HeldDisk } from './held-disk.ts'
import { hex, inquiry, pattern, read10 } from './initiator.ts'

const BASE = 0x170
const MASTER = 0xffa8
const SIZE = 2048 * 200
const DMA = 1

function scene(disk: MemoryDisk | HeldDisk | null) {
  const unit = new DvdUnit(disk)
  const target = new ScsiTarget()
  target.attach(0, 0, 0, unit)
  return { unit, target, host: new IdeHost({ dvd: target }) }
}

function medium(seed = 1): MemoryDisk {
  const disk = new MemoryDisk({ sizeBytes: SIZE })
  disk.bytes.set(pattern(SIZE, seed))
  return disk
}

function send(host: IdeHost, cdb: readonly number[], features = 0): void {
  host.out(BASE + 6, 0xa0)
  host.out(BASE + 1, features)
  host.out(BASE + 4, 0xfe)
  host.out(BASE + 5, 0xff)
  host.out(BASE + 7, 0xa0)
  host.writeData(
    Uint8Array.from({ length: 12 }, (_, at) => cdb[at] ?? 0),
    BASE,
  )
}

/** A packet by PIO: its data as long as some is offered; then the sense key from the error register, 0 when all went well. */
function packet(host: IdeHost, cdb: readonly number[]): { data: Uint8Array; key: number } {
  send(host, cdb)
  const data: number[] = []
  let status = host.in(BASE + 7)
  while ((status & DRQ) !== 0) {
    const bytes = host.in(BASE + 4) | (host.in(BASE + 5) << 8)
    data.push(...host.readData(bytes, BASE).subarray(0, bytes))
    status = host.in(BASE + 7)
  }
  expect(status & (BSY | DRDY)).toBe(DRDY)
  return { data: Uint8Array.from(data), key: (status & ERR) === 0 ? 0 : host.in(BASE + 1) >>> 4 }
}

/** Key and additional sense, as REQUEST SENSE tells them. */
function sense(host: IdeHost): string {
  const { data } = packet(host, [3, 0, 0, 0, 18, 0])
  return hex(data[2]!, data[12]!, data[13]!)
}

test('a driver finds the drive, its medium and the bytes on it', () => {
  const { host } = scene(medium())
  expect(packet(host, [0]).key).toBe(0)
  const { data } = packet(host, inquiry(36))
  expect(new TextDecoder().decode(data.subarray(8, 36))).toBe('Msft    Virtual DVD-ROM 1.0 ')
  expect(hex(...packet(host, [0x25]).data)).toBe('000000c700000800')
  expect(packet(host, read10(3, 2)).data).toEqual(pattern(SIZE).slice(3 * 2048, 5 * 2048))
  // More than the drive's buffer holds.
  expect(packet(host, read10(0, 200)).data).toEqual(pattern(SIZE))
})

test('the bus master moves the same bytes', () => {
  const { host } = scene(medium())
  host.table([[DATA, 8 * 2048]], MASTER)
  send(host, read10(10, 8), DMA)
  host.start(true, MASTER)
  host.settle()
  expect(host.in(BASE + 7)).toBe(DRDY)
  expect(host.ram(DATA, 8 * 2048)).toEqual(pattern(SIZE).slice(10 * 2048, 18 * 2048))
})

test('why a packet failed is told by REQUEST SENSE, once', () => {
  const { host } = scene(medium())
  expect(packet(host, read10(200, 1)).key).toBe(5)
  expect(sense(host)).toBe('052100')
  expect(sense(host)).toBe('000000')
  expect(packet(host, [0x4d]).key).toBe(5)
  expect(sense(host)).toBe('052000')
})

test('another medium: the driver is told, and reads the new one', () => {
  const { unit, host } = scene(medium())
  expect(packet(host, [0]).key).toBe(0)
  unit.eject()
  expect([packet(host, [0]).key, sense(host)]).toEqual([2, '023a01'])
  unit.insert(medium(9))
  expect([packet(host, [0]).key, sense(host)]).toEqual([6, '062800'])
  expect(packet(host, read10(0, 1)).data).toEqual(pattern(SIZE, 9).slice(0, 2048))
})

test.each([true, false])(
  'a reset while the disk has the packet (gives it up at once: %s)',
  (atOnce) => {
    const disk = new HeldDisk(SIZE, { readOnly: true })
    disk.inner.bytes.set(pattern(SIZE))
    const { unit, host } = scene(disk)
    disk.holds = true
    disk.abortsAtOnce = atOnce
    send(host, read10(0, 1))
    expect([host.in(0x376) & BSY, unit.inFlight]).toEqual([BSY, 1])
    host.out(0x376, 4)
    host.out(0x376, 0)
    disk.holds = false
    host.settle()
    expect(unit.inFlight).toBe(0)
    expect(packet(host, read10(7, 1)).data).toEqual(pattern(SIZE).slice(7 * 2048, 8 * 2048))
  },
)
