// What a machine of generation 1 shows its firmware: items and files as fw_cfg has them, and an option ROM that boots. Whether SeaBIOS takes
// them is test/linux-generation-1.test.ts.

import { BootError, linuxFirmwareImage } from '@guestyard/x86-partition'
import { assert, integer, property, uint8Array } from 'fast-check'
import { expect, test } from 'vitest'

import { checksum, vmbusTable } from '../src/boot/acpi-tables.ts'
import { FirmwareConfig, type FirmwareFile } from '../src/boot/firmware-config.ts'
import { PlatformPorts } from '../src/machine/platform-ports.ts'
import { bzImage } from './tiny-machine.ts'

const MIB = 2 ** 20
const RAM = 64 * MIB
const SELECTOR = 0x510
const DATA = 0x511
const DIRECTORY = 0x19

const boot = {
  kernel: bzImage(),
  initrd: new Uint8Array(5000).fill(1),
  commandLine: 'console=ttyS0',
  ramBytes: RAM,
}
const bios = new Uint8Array(0x2_0000).fill(0xf4)

function readItem(config: FirmwareConfig, item: number, bytes: number): Uint8Array {
  config.write(SELECTOR, item, 2)
  return Uint8Array.from({ length: bytes }, () => config.read(DATA, 1)!)
}

function readFile(config: FirmwareConfig, wanted: string): Uint8Array {
  const head = readItem(config, DIRECTORY, 4)
  const count = new DataView(head.buffer).getUint32(0)
  const directory = readItem(config, DIRECTORY, 4 + count * 64)
  const view = new DataView(directory.buffer)
  for (let at = 4; at < directory.length; at += 64) {
    const name = new TextDecoder().decode(directory.subarray(at + 8, at + 64))
    if (name.replace(/\0+$/, '') === wanted) {
      return readItem(config, view.getUint16(at + 4), view.getUint32(at))
    }
  }
  throw new Error(`no file ${wanted}`)
}

test('a firmware finds the device by its signature, and RAM and one processor by its items', () => {
  const config = new FirmwareConfig([], RAM)
  expect(new TextDecoder().decode(readItem(config, 0, 4))).toBe('QEMU')
  expect([...readItem(config, 3, 8)]).toEqual([0, 0, 0, 4, 0, 0, 0, 0])
  expect([...readItem(config, 5, 2)]).toEqual([1, 0])
})

test('every file of any bytes is found by its name and read whole; behind its end there are zeros', () => {
  assert(
    property(uint8Array({ maxLength: 300 }), uint8Array({ maxLength: 300 }), (one, two) => {
      const files: FirmwareFile[] = [
        { name: 'genroms/one.bin', bytes: one },
        { name: 'x'.repeat(55), bytes: two },
      ]
      const config = new FirmwareConfig(files, RAM)
      expect(readFile(config, 'genroms/one.bin')).toEqual(one)
      expect(readFile(config, 'x'.repeat(55))).toEqual(two)
      config.write(SELECTOR, 0x21, 2)
      for (let at = 0; at < two.length; at += 1) config.read(DATA, 1)
      expect(config.read(DATA, 1)).toBe(0)
    }),
  )
})

test('an item that is not there reads as zeros, and a name that does not fit is refused', () => {
  const config = new FirmwareConfig([], RAM)
  expect([...readItem(config, 0x8000, 3)]).toEqual([0, 0, 0])
  const long = { name: 'x'.repeat(56), bytes: new Uint8Array() }
  expect(() => new FirmwareConfig([long], RAM)).toThrow(/name too long/)
})

test('whatever a guest does to the two ports is answered or left to others', () => {
  assert(
    property(integer({ min: 0, max: 0xffff }), integer(), (port, value) => {
      const config = new FirmwareConfig([], RAM)
      const isTaken = config.write(port, value, 2)
      expect(isTaken).toBe(port === SELECTOR)
      const read = config.read(port, 1)
      if (port === DATA) expect(read).toBeGreaterThanOrEqual(0)
      else expect(read).toBeUndefined()
    }),
  )
})

test('the option ROM has the signature, its size, a sum of 0 and a header that names its entry', () => {
  const image = linuxFirmwareImage(boot, bios)
  expect(image.rom).toBe(bios)
  const rom = image.firmware!.find(({ name }) => name === 'genroms/linux.bin')!.bytes
  const view = new DataView(rom.buffer)
  expect([rom[0], rom[1], rom[2]! * 512]).toEqual([0x55, 0xaa, rom.length])
  expect(checksum(rom)).toBe(0)
  const header = view.getUint16(0x1a, true)
  expect(new TextDecoder().decode(rom.subarray(header, header + 4))).toBe('$PnP')
  expect(checksum(rom.subarray(header, header + 32))).toBe(0)
  // cli: the first instruction of its bootstrap entry.
  expect(rom[view.getUint16(header + 26, true)]).toBe(0xfa)
})

test('the setup in the ROM knows where the initial RAM disk and the command line are', () => {
  const { segments, firmware } = linuxFirmwareImage(boot, bios)
  const [code, initrd] = segments
  expect([code!.address, segments.length]).toEqual([0x10_0000, 2])
  // A firmware's own tables are at RAM's end.
  expect(initrd!.address + 5000).toBeLessThanOrEqual(RAM - 4 * MIB)
  const rom = firmware!.find(({ name }) => name === 'genroms/linux.bin')!.bytes
  const setup = new DataView(rom.buffer, 0x80)
  expect(setup.getUint32(0x202, true)).toBe(0x5372_6448)
  expect(setup.getUint32(0x218, true)).toBe(initrd!.address)
  expect(setup.getUint32(0x21c, true)).toBe(5000)
  expect(setup.getUint8(0x211) & 0x80).toBe(0x80)
  expect(setup.getUint32(0x228, true)).toBe(0x1_e000)
})

test('a kernel that leaves the firmware no RAM is refused, in one line', () => {
  const ramBytes = 7 * MIB + 128 * 1024
  expect(() => linuxFirmwareImage({ ...boot, ramBytes }, bios)).not.toThrow()
  expect(() => linuxFirmwareImage({ ...boot, ramBytes: 6 * MIB }, bios)).toThrow(BootError)
})

test('the table that adds the bus sums up to 0 and says its length', () => {
  const table = vmbusTable()
  expect(new TextDecoder().decode(table.subarray(0, 4))).toBe('SSDT')
  expect(checksum(table)).toBe(0)
  expect(new DataView(table.buffer, table.byteOffset).getUint32(4, true)).toBe(table.length)
})

test('generation 1 leaves PCI to the processor package, and has no slot to empty', () => {
  const [pc, none] = [new PlatformPorts(1), new PlatformPorts(2)]
  expect([pc.read(0xcfc, 4), none.read(0xcfc, 4)]).toEqual([undefined, -1])
  expect([pc.write(0xcf8, 1, 4), none.write(0xcf8, 1, 4)]).toEqual([false, true])
  expect([pc.read(0xae00, 4), pc.read(0xae0c, 4), none.read(0xae00, 4)]).toEqual([0, 0, undefined])
})

test('each generation is turned off by its own sleep type alone', () => {
  const SLEEP = 0x2000
  const ends = ([1, 2] as const).map((generation) =>
    [0, 5].map((type) => {
      const ports = new PlatformPorts(generation)
      ports.write(0xb004, SLEEP | (type << 10), 2)
      return ports.end?.is
    }),
  )
  expect(ends).toEqual([
    ['powered-off', undefined],
    [undefined, 'powered-off'],
  ])
})
