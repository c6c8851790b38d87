// The kernel inside a bzImage: found, unpacked, entered in place of the code that would unpack it; and what is said of damaged ones.

import { gzipSync } from 'node:zlib'

import { BootError, linuxBootImage, packedKernel } from '@guestyard/x86-partition'
import { FetchError } from '@guestyard/x86-partition/node'
import { assert, integer, property } from 'fast-check'
import { expect, test } from 'vitest'

import { unpackedKernel } from '../src/node/fetch/unpacked-kernel.ts'
import {
  ELF_ADDRESS,
  ELF_MEMORY_BYTES,
  elfFile,
  gzipBzImage,
  packedBzImage,
} from './packed-kernels.ts'
import { bzImage } from './tiny-machine.ts'

const RAM = 64 * 2 ** 20
const boot = { initrd: new Uint8Array(5000), commandLine: 'quiet', ramBytes: RAM }
/** `xz --check=crc32 --x86 --lzma2=dict=64KiB` of `elfFile()`: the filters that kernels are packed with. */
const XZ = Buffer.from(
  '/Td6WFoAAAFpIt42AgEEACEBCADSuXTL4AP/ADJdAD+RRYRoNISz7omf0xMOV+lp6aO8qIuN6Y73oU7mmtSYCvrCtZjaSaq7pE2g28f55MYAAAAARICQ7gABSoAIAAAAqmXEGT4wDYsCAAAAAAFZWg==',
  'base64',
)

test.each([
  ['xz with the filter for x86 code', packedBzImage(XZ, elfFile().length)],
  ['gzip', gzipBzImage()],
])(
  'a kernel that is packed with %s unpacks to the ELF file that was packed',
  async (_name, kernel) => {
    const { file, problem } = await unpackedKernel(kernel)
    expect(problem).toBe('')
    expect(Buffer.compare(file!, elfFile())).toBe(0)
  },
)

test('a kernel that is packed in another way stays packed, and it is said why', async () => {
  expect(await unpackedKernel(bzImage())).toEqual({
    file: null,
    problem: 'it is neither xz nor gzip',
  })
})

test.each([
  ['says another size', packedBzImage(XZ, 77), 'unpacks to 1024 bytes and says 77'],
  ['says the size of no kernel', packedBzImage(XZ, 2 ** 31), 'which no kernel has'],
  ['is cut short', packedBzImage(XZ.subarray(0, 100), 1024), 'does not unpack'],
  ['has no ELF file in it', packedBzImage(gzipSync('not this')), 'no ELF file'],
])('a kernel that %s is refused by one line', async (_name, kernel, message) => {
  await expect(unpackedKernel(kernel)).rejects.toThrow(message)
  await expect(unpackedKernel(kernel)).rejects.toSatisfy(
    (error) => error instanceof FetchError || error instanceof BootError,
  )
})

test('a payload that lies outside of the file is refused', () => {
  const kernel = bzImage((view) => view.setUint32(0x24c, 0xffff_ffff, true))
  expect(() => packedKernel(kernel)).toThrow('its payload lies outside of the file')
})

test('an unpacked kernel lies where it is linked to, zeroes behind it, and is entered by its own entry', () => {
  const { segments, rom } = linuxBootImage({ ...boot, kernel: gzipBzImage(), unpacked: elfFile() })
  const [code, initrd] = segments
  expect(code!.address).toBe(ELF_ADDRESS)
  expect(code!.bytes.length).toBe(ELF_MEMORY_BYTES)
  expect(Buffer.compare(code!.bytes.subarray(0, 0x100), elfFile().subarray(0x200, 0x300))).toBe(0)
  expect(code!.bytes.subarray(0x100).every((byte) => byte === 0)).toBe(true)
  // Behind what the kernel says that it needs from its first byte on.
  expect(initrd!.address).toBeGreaterThanOrEqual(ELF_ADDRESS + 0x20_0000)
  const packed = linuxBootImage({ ...boot, kernel: gzipBzImage() })
  expect(Buffer.compare(rom, packed.rom)).not.toBe(0)
  expect(packed.segments[0]!.address).toBe(0x10_0000)
})

test('an unpacked kernel that does not fit into RAM is refused', () => {
  const [kernel, ramBytes] = [gzipBzImage(), 17 * 2 ** 20]
  const unpacked = elfFile()
  expect(() => linuxBootImage({ ...boot, kernel, unpacked, ramBytes })).toThrow(
    'needs 18 MiB of RAM',
  )
  const low = elfFile((view) => view.setUint32(64, 0x8000, true))
  expect(() => linuxBootImage({ ...boot, kernel, unpacked: low })).toThrow(
    'at 0x8000 is below 1 MiB',
  )
})

test('whatever an ELF file says, it lies in RAM or is refused', () => {
  const [kernel, at, byte] = [
    gzipBzImage(),
    integer({ min: 0, max: 84 }),
    integer({ min: 0, max: 255 }),
  ]
  assert(
    property(at, byte, (where, value) => {
      const unpacked = elfFile((view) => view.setUint8(where, value))
      try {
        const { segments } = linuxBootImage({ ...boot, kernel, unpacked })
        return segments.every(({ address, bytes }) => address + bytes.length <= RAM)
      } catch (error) {
        return error instanceof BootError
      }
    }),
  )
})
