// A kernel's ELF file, out of the bzImage that it was fetched in.

import { gunzipSync } from 'node:zlib'

import { elfKernel } from '../../boot/elf-kernel.ts'
import { packedKernel } from '../../boot/packed-kernel.ts'
import type { PackedKernel } from '../../boot/packed-kernel.ts'
import { FetchError, wordsOf } from './fetch-error.ts'

/** Several times of any distribution's. */
const BYTES_MAX = 256 * 2 ** 20

export interface UnpackedKernel {
  /** Null: it was not unpacked. */
  readonly file: Uint8Array | null
  /** Why not. */
  readonly problem: string
}

/** Throws a BootError or a FetchError for a kernel that is damaged. */
export async function unpackedKernel(kernel: Uint8Array): Promise<UnpackedKernel> {
  const packed = packedKernel(kernel)
  if (packed === null) return { file: null, problem: 'it is neither xz nor gzip' }
  if (packed.bytes > BYTES_MAX) {
    throw new FetchError(`kernel: unpacks to ${packed.bytes} bytes, which no kernel has`)
  }
  const unpack = packed.form === '.gz' ? gunzip : await xzDecoder()
  if (unpack === null) return { file: null, problem: '@napi-rs/lzma is not for this platform' }
  const file = await unpacked(kernel.subarray(packed.start, packed.end), packed, unpack)
  elfKernel(file)
  return { file, problem: '' }
}

type Unpack = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>

async function unpacked(
  bytes: Uint8Array,
  packed: PackedKernel,
  unpack: Unpack,
): Promise<Uint8Array> {
  let file: Uint8Array
  try {
    file = await unpack(bytes)
  } catch (error) {
    throw new FetchError(`kernel: does not unpack: ${wordsOf(error)}`)
  }
  if (file.length === packed.bytes) return file
  throw new FetchError(`kernel: unpacks to ${file.length} bytes and says ${packed.bytes}`)
}

function gunzip(bytes: Uint8Array): Uint8Array {
  return gunzipSync(bytes, { maxOutputLength: BYTES_MAX })
}

/** Kernels are packed with the filter for x86 code, which the decoder of Debian's packages is built without. Null where its library is not installed. */
async function xzDecoder(): Promise<Unpack | null> {
  try {
    const { xz } = await import('@napi-rs/lzma')
    return (bytes) => xz.decompress(bytes)
  } catch {
    return null
  }
}
