// Kernels that are ELF files, and bzImages that have one packed in them.

import { gzipSync } from 'node:zlib'

import { bzImage } from './tiny-machine.ts'

/** Where `elfFile` goes, and how much RAM it takes. */
export const ELF_ADDRESS = 0x100_0000
export const ELF_MEMORY_BYTES = 0x2000

const CODE_AT = 5 * 512
const PAYLOAD_AT = 64

/** One segment, as kernels for i386 are linked: at 16 MiB, by virtual addresses from 3 GiB on, entered by a physical one. */
export function elfFile(change: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(0x400)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 0x464c_457f, true)
  view.setUint8(4, 1)
  view.setUint16(18, 3, true)
  view.setUint32(24, ELF_ADDRESS, true)
  view.setUint32(28, 52, true)
  view.setUint16(42, 32, true)
  view.setUint16(44, 1, true)
  const segment = [1, 0x200, 0xc100_0000, ELF_ADDRESS, 0x100, ELF_MEMORY_BYTES]
  for (const [at, value] of segment.entries()) view.setUint32(52 + at * 4, value, true)
  bytes.fill(0x90, 0x200, 0x300)
  // Calls of one place from several: what the filter for x86 code changes.
  for (const at of [0x210, 0x220, 0x230]) {
    bytes[at] = 0xe8
    view.setUint32(at + 1, 0x2f0 - (at + 5), true)
  }
  change(view)
  return bytes
}

/** A bzImage with `payload` in it, which unpacks to so many bytes: said behind it, unless the form says it itself. */
export function packedBzImage(payload: Uint8Array, saysBytes: number | null = null): Uint8Array {
  const size = new Uint8Array(saysBytes === null ? 0 : 4)
  if (saysBytes !== null) new DataView(size.buffer).setUint32(0, saysBytes, true)
  const length = payload.length + size.length
  const head = bzImage((view) => {
    view.setUint32(0x248, PAYLOAD_AT, true)
    view.setUint32(0x24c, length, true)
  })
  return Buffer.concat([head.subarray(0, CODE_AT + PAYLOAD_AT), payload, size])
}

export function gzipBzImage(file: Uint8Array = elfFile()): Uint8Array {
  return packedBzImage(gzipSync(file))
}
