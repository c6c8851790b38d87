// A guest that does anything to the registers, its RAM and its tables: nothing throws, every access ends, no byte outside its RAM and its
// disk is touched, and after a reset the drives work.

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { FakeDvd } from './fake-dvd.ts'
import { HeldDisk } from './held-disk.ts'
import { IdeHost, RAM_BYTES, patternDisk } from './ide-host.ts'

/** Pieces of 64 KiB that one access may begin, and that polls then do: the largest transfer of 48 bits. */
const POLLS_MAX = 2048

const COMMANDS = [
  0x00, 0x06, 0x08, 0x10, 0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0x40, 0x42, 0x70, 0x90,
  0x91, 0xa0, 0xa1, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xe0, 0xe5, 0xe7, 0xea, 0xec, 0xef,
]
const PORTS = [
  ...Array.from({ length: 8 }, (_, i) => 0x1f0 + i),
  ...Array.from({ length: 8 }, (_, i) => 0x170 + i),
  ...Array.from({ length: 16 }, (_, i) => 0xffa0 + i),
]

interface Access {
  readonly port: number
  readonly size: number
  readonly value: number
  readonly isWrite: boolean
}

const plausible: fc.Arbitrary<Access> = fc.oneof(
  fc.record({
    port: fc.constantFrom(0x1f7, 0x177),
    size: fc.constant(1),
    value: fc.constantFrom(...COMMANDS),
    isWrite: fc.constant(true),
  }),
  fc.record({
    port: fc.constantFrom(0x1f0, 0x170),
    size: fc.constantFrom(2, 4),
    value: fc.nat(0xffff_ffff),
    isWrite: fc.boolean(),
  }),
  fc.record({
    port: fc.constantFrom(0xffa0, 0xffa2, 0xffa8, 0xffaa),
    size: fc.constant(1),
    value: fc.constantFrom(0, 1, 6, 8, 9),
    isWrite: fc.constant(true),
  }),
  fc.record({
    port: fc.constantFrom(0x3f6, 0x376),
    size: fc.constant(1),
    value: fc.constantFrom(0, 0, 0, 2, 4, 0x80),
    isWrite: fc.boolean(),
  }),
)
const wild: fc.Arbitrary<Access> = fc.record({
  port: fc.oneof(fc.constantFrom(...PORTS), fc.nat(0xffff)),
  size: fc.constantFrom(1, 2, 4, 8, 3),
  value: fc.oneof(fc.nat(0xff), fc.nat(0xffff_ffff)),
  isWrite: fc.boolean(),
})

function settle(host: IdeHost): void {
  let polls = 0
  while (host.controller.hasWork) {
    expect(polls++).toBeLessThan(POLLS_MAX)
    host.controller.poll(16)
  }
  host.controller.poll(16)
}

function run(host: IdeHost, accesses: readonly Access[]): void {
  const { controller } = host
  for (const { port, size, value, isWrite } of accesses) {
    if (isWrite) controller.write(port, size, value)
    else {
      const read = controller.read(port, size)
      expect(Number.isInteger(read) && read >= 0 && read <= 0xffff_ffff).toBe(true)
    }
    settle(host)
  }
}

/** Both channels are reset, and answer as new. */
function expectWell(host: IdeHost, disk: HeldDisk): void {
  disk.isOpen = true
  if (disk.held !== null) disk.release()
  for (const control of [0x3f6, 0x376]) {
    host.out(control, 4)
    host.out(control, 0)
  }
  settle(host)
  host.command(0x20, 1)
  expect(host.in(0x1f7)).toBe(0x58)
  host.out(0x176, 0xa0)
  host.out(0x177, 0xa1)
  expect(host.in(0x177)).toBe(0x48)
}

test('no sequence of accesses throws, hangs or leaves the drives beyond a reset', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 3, arbitrary: plausible }, wild), {
        maxLength: 300,
        size: 'max',
      }),
      fc.boolean(),
      (accesses, isLate) => {
        const disk = new HeldDisk(patternDisk(300))
        disk.isOpen = !isLate
        const host = new IdeHost({ disk, slave: patternDisk(8), dvd: new FakeDvd() })
        run(host, accesses)
        expectWell(host, disk)
      },
    ),
  )
})

test('a table of anything, anywhere, moves nothing but this guest’s RAM', () => {
  const dword = fc.oneof(
    fc.nat(0xffff_ffff),
    fc.nat(RAM_BYTES),
    fc.constantFrom(RAM_BYTES - 2, RAM_BYTES - 512, 0xffff_fffe, 0xffff_0000),
  )
  fc.assert(
    fc.property(
      fc.array(fc.tuple(dword, fc.nat(0xffff), fc.boolean()), {
        minLength: 1,
        maxLength: 12,
        size: 'max',
      }),
      fc.oneof(fc.nat(RAM_BYTES), dword),
      fc.integer({ min: 1, max: 256 }),
      fc.boolean(),
      (pieces, table, count, isRead) => {
        const disk = patternDisk(300)
        const host = new IdeHost({ disk })
        pieces.forEach(([address, bytes, isEnd], index) => {
          const at = (table & ~3) + index * 8
          if (at < 0 || at + 8 > RAM_BYTES) return
          host.memory.view.setUint32(at, address, true)
          host.memory.view.setUint32(at + 4, (bytes | (isEnd ? 0x8000_0000 : 0)) >>> 0, true)
        })
        host.out(0xffa4, table, 4)
        host.command(isRead ? 0xc8 : 0xca, 0, count)
        host.controller.write(0xffa0, 1, isRead ? 9 : 1)
        settle(host)
        expect(host.memory.sizeBytes).toBe(RAM_BYTES)
        // Done, in error, or waiting for a table that goes on.
        const status = host.in(0xffa2) & 7
        expect([0, 4, 5, 6]).toContain(status)
        host.out(0x3f6, 4)
        host.out(0x3f6, 0)
        expect(host.in(0x1f7)).toBe(0x50)
      },
    ),
  )
})
