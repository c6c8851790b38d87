// A compressed file as the bytes that are in it, a piece at a time, and no more of them than was said.

import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import * as zlib from 'node:zlib'

import { FetchError, wordsOf } from './fetch-error.ts'

export interface UnpackedOptions {
  /** What errors call it. */
  readonly name: string
  /** A name whose ending says how it is packed: `.xz`, `.gz`, `.zst`; anything else is not. */
  readonly form: string
  /** A file that unpacks to more is refused. */
  readonly bytesMax: number
  /** Which of the file's bytes: from here … */
  readonly start?: number
  /** … to here, exclusive. */
  readonly end?: number
}

const READ_BYTES = 1 << 18

/** Throws a FetchError for what is damaged, too long, or packed in a way that this Node can't unpack. */
export async function* unpacked(
  path: string,
  options: UnpackedOptions,
): AsyncGenerator<Uint8Array> {
  const { name, form, bytesMax, start = 0, end = Number.POSITIVE_INFINITY } = options
  const file = createReadStream(path, { start, end: end - 1, highWaterMark: READ_BYTES })
  let length = 0
  try {
    for await (const bytes of await decoded(file, form)) {
      length += bytes.length
      if (length > bytesMax) throw new FetchError(`${name}: unpacks to more than ${bytesMax} bytes`)
      yield bytes
    }
  } catch (error) {
    throw error instanceof FetchError ? error : new FetchError(`${name}: ${wordsOf(error)}`)
  } finally {
    file.destroy()
  }
}

async function decoded(file: Readable, form: string): Promise<AsyncIterable<Uint8Array>> {
  switch (/[.](xz|gz|zst)$/.exec(form)?.[1] ?? '') {
    case 'xz': {
      const { XzReadableStream } = (await import('xz-decompress')).default
      return new XzReadableStream(Readable.toWeb(file))
    }
    case 'gz':
      return piped(file, zlib.createGunzip())
    case 'zst': {
      const { createZstdDecompress } = zlib as Partial<typeof zlib>
      if (createZstdDecompress === undefined) {
        throw new FetchError(`${form}: needs Node 22.15 or later, whose zlib unpacks Zstandard`)
      }
      return piped(file, createZstdDecompress())
    }
    default:
      return file
  }
}

/** Errors of the one are the other's. */
function piped(file: Readable, into: zlib.Gunzip | zlib.ZstdDecompress): Readable {
  file.once('error', (error) => into.destroy(error))
  return file.pipe(into)
}
