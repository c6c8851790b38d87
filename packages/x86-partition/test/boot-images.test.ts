// Kernels as files: what is read of them is checked, whatever they are, and what they ask for is where their protocols say.

import {
  BootError,
  isMultiboot,
  linuxBootImage,
  multibootImage,
  parseKernel,
} from '@guestyard/x86-partition'
import { assert, constantFrom, integer, property, uint8Array } from 'fast-check'
import { expect, test } from 'vitest'

import { bzImage, kernelOf } from './tiny-machine.ts'

const RAM = 64 * 1024 * 1024

const boot = { initrd: new Uint8Array(5000).fill(1), commandLine: 'console=ttyS0', ramBytes: RAM }

test('a kernel is laid out as the boot protocol says', () => {
  const { segments, rom } = linuxBootImage({ ...boot, kernel: bzImage() })
  const [code, initrd, line, params, acpi] = segments
  expect(code).toMatchObject({ address: 0x10_0000 })
  expect(code!.bytes.length).toBe(4096)
  const zeroPage = new DataView(params!.bytes.buffer)
  expect(zeroPage.getUint32(0x202, true)).toBe(0x5372_6448)
  expect(zeroPage.getUint32(0x228, true)).toBe(line!.address)
  expect(zeroPage.getUint32(0x70, true)).toBe(acpi!.address)
  expect(zeroPage.getUint32(0x218, true)).toBe(initrd!.address)
  expect(zeroPage.getUint32(0x21c, true)).toBe(5000)
  expect(initrd!.address + 5000).toBeLessThanOrEqual(RAM)
  expect(new TextDecoder().decode(line!.bytes)).toBe('console=ttyS0\0')
  // The reset vector: a far jump.
  expect(rom[0xfff0]).toBe(0xea)
})

test('the memory map covers RAM without gaps or overlaps that matter', () => {
  const { segments } = linuxBootImage({ ...boot, kernel: bzImage() })
  const params = new DataView(segments[3]!.bytes.buffer)
  const entries = Array.from({ length: params.getUint8(0x1e8) }, (_, index) => {
    const at = 0x2d0 + index * 20
    const from = Number(params.getBigUint64(at, true))
    return { from, end: from + Number(params.getBigUint64(at + 8, true)) }
  })
  expect(entries[0]!.from).toBe(0)
  expect(entries.at(-1)!.end).toBe(RAM)
  entries
    .slice(1)
    .forEach(({ from }, index) => expect(from).toBeGreaterThanOrEqual(entries[index]!.end))
})

test.each([
  ['a short file', new Uint8Array(100), 'too short'],
  ['no boot flag', bzImage((view) => view.setUint16(0x1fe, 0, true)), 'not a bzImage'],
  ['no magic', bzImage((view) => view.setUint32(0x202, 0, true)), 'not a bzImage'],
  ['an old protocol', bzImage((view) => view.setUint16(0x206, 0x203, true)), 'boot protocol 2.3'],
  ['a zImage', bzImage((view) => view.setUint8(0x211, 0)), 'zImage'],
  ['a header without an end', bzImage((view) => view.setUint8(0x201, 2)), 'setup header ends'],
  ['setup sectors beyond the end', bzImage((view) => view.setUint8(0x1f1, 64)), '32-bit part'],
])('%s is refused by one line', (_name, kernel, message) => {
  expect(() => parseKernel(kernel)).toThrow(BootError)
  expect(() => parseKernel(kernel)).toThrow(message)
})

test('what does not fit into RAM is refused', () => {
  const kernel = bzImage((view) => view.setUint32(0x260, 0x800_0000, true))
  expect(() => linuxBootImage({ ...boot, kernel })).toThrow('needs 129 MiB of RAM')
  const initrd = new Uint8Array(62 * 1024 * 1024)
  expect(() => linuxBootImage({ ...boot, initrd, kernel: bzImage() })).toThrow('initrd: 62.0 MiB')
  const commandLine = 'x'.repeat(2048)
  expect(() => linuxBootImage({ ...boot, commandLine, kernel: bzImage() })).toThrow('command line')
})

test('whatever a file is, it boots or is refused, and everything lies in RAM', () => {
  const files = uint8Array({ minLength: 0, maxLength: 700 })
  const at = integer({ min: 0x1f0, max: 0x270 })
  assert(
    property(
      files,
      at,
      integer({ min: 0, max: 255 }),
      constantFrom('linux', 'multiboot'),
      (noise, where, byte, kind) => {
        const kernel = kind === 'linux' ? bzImage() : kernelOf([0xf4])
        if (kind === 'linux') kernel.set(noise, 0x280)
        kernel[kind === 'linux' ? where : where % kernel.length] = byte
        try {
          const image =
            kind === 'linux'
              ? linuxBootImage({ ...boot, kernel })
              : multibootImage({ kernel, commandLine: '', ramBytes: RAM })
          return image.segments.every(({ address, bytes }) => address + bytes.length <= RAM)
        } catch (error) {
          return error instanceof BootError
        }
      },
    ),
  )
})

test('a multiboot kernel by its own addresses', () => {
  const kernel = kernelOf([0xf4])
  expect(isMultiboot(kernel)).toBe(true)
  const { segments } = multibootImage({ kernel, commandLine: 'a b', ramBytes: RAM })
  expect(segments[0]).toEqual({ address: 0x10_0000, bytes: kernel })
  const information = new DataView(segments[1]!.bytes.buffer)
  expect(information.getUint32(4, true)).toBe(639)
  expect(information.getUint32(8, true)).toBe(RAM / 1024 - 1024)
  expect(information.getUint32(44, true)).toBe(5 * 24)
})

/** An ELF file with one segment of 16 bytes in the file and 32 in RAM, and a multiboot header without addresses. */
function elf(change: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(200)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 0x464c_457f, true)
  view.setUint8(4, 1)
  view.setUint16(18, 3, true)
  view.setUint32(24, 0x20_0004, true)
  view.setUint32(28, 52, true)
  view.setUint16(42, 32, true)
  view.setUint16(44, 1, true)
  for (const [at, value] of [1, 100, 0, 0x20_0000, 16, 32].entries()) {
    view.setUint32(52 + at * 4, value, true)
  }
  view.setUint32(100, 0x1bad_b002, true)
  view.setUint32(104, 0x2, true)
  view.setInt32(108, -(0x1bad_b002 + 0x2), true)
  change(view)
  return bytes
}

test('a multiboot kernel that is an ELF file', () => {
  const { segments } = multibootImage({ kernel: elf(), commandLine: '', ramBytes: RAM })
  expect(segments[0]!.address).toBe(0x20_0000)
  expect(segments[0]!.bytes.length).toBe(32)
})

test.each([
  ['no header', new Uint8Array(64), 'no multiboot header'],
  [
    'a wish that nobody knows',
    elf((view) => {
      view.setUint32(104, 0x8, true)
      view.setInt32(108, -(0x1bad_b002 + 0x8), true)
    }),
    'ask for what is not known',
  ],
  ['an ELF file for another machine', elf((view) => view.setUint16(18, 62, true)), 'no ELF file'],
  [
    'a segment beyond the file',
    elf((view) => view.setUint32(52 + 4, 190, true)),
    'outside of the file',
  ],
  ['a segment below 1 MiB', elf((view) => view.setUint32(52 + 12, 0x1000, true)), 'not in RAM'],
  [
    'a segment of 4 GiB',
    elf((view) => view.setUint32(52 + 20, 0xffff_0000, true)),
    'larger than any RAM',
  ],
])('%s is refused by one line', (_name, kernel, message) => {
  expect(() => multibootImage({ kernel, commandLine: '', ramBytes: RAM })).toThrow(message)
})
