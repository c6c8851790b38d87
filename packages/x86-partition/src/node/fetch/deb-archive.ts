// Debian's packages, read without dpkg (deb(5)): an ar archive whose member `data.tar` holds the files. Nothing is written by the names in it: whoever
// reads takes the files that he asks for, and an archive with a name that leaves its root, or without end, is refused.

import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { basename } from 'node:path'

import { FetchError, wordsOf } from './fetch-error.ts'
import { unpacked } from './unpacked.ts'

export interface DebFile {
  /** Without a leading `/` or `./`. */
  readonly path: string
  readonly bytes: Uint8Array
}

interface Member {
  readonly name: string
  readonly start: number
  readonly end: number
}

const AR_MAGIC = '!<arch>\n'
const AR_HEADER_BYTES = 60
const MEMBERS_MAX = 16
const ENTRIES_MAX = 200_000
/** A kernel's modules come to 180 MB, the largest file of them to 10. */
const UNPACKED_BYTES_MAX = 2 ** 31
const FILE_BYTES_MAX = 64 * 1024 * 1024

/** Plain files whose path is wanted, in the archive's order. Throws a FetchError that begins with the archive's name. */
export async function* debFiles(
  archive: string,
  isWanted: (path: string) => boolean,
): AsyncGenerator<DebFile> {
  const name = basename(archive)
  const { start, end, name: form } = await dataMember(archive, name)
  const { createTarDecoder } = await import('modern-tar')
  const bytes = unpacked(archive, { name, form, bytesMax: UNPACKED_BYTES_MAX, start, end })
  let entries = 0
  try {
    const tar = ReadableStream.from(bytes).pipeThrough(createTarDecoder({ strict: true }))
    for await (const { header, body } of tar) {
      if (++entries > ENTRIES_MAX) throw new FetchError(`${name}: holds too many files`)
      const path = pathOf(header.name, name)
      if (header.type !== 'file' || !isWanted(path)) {
        await body.cancel()
        continue
      }
      if (header.size > FILE_BYTES_MAX) {
        throw new FetchError(`${name}: ${path} is of ${header.size} bytes`)
      }
      const pieces: Uint8Array[] = []
      for await (const piece of body) pieces.push(piece)
      yield { path, bytes: Buffer.concat(pieces) }
    }
  } catch (error) {
    throw error instanceof FetchError ? error : new FetchError(`${name}: ${wordsOf(error)}`)
  }
}

/** What an entry is called in the root; archives of packages say `./usr/bin/x`. */
function pathOf(entry: string, archive: string): string {
  const path = entry.replace(/^[.]\//, '').replace(/\/$/, '')
  const isInside = !path.startsWith('/') && !path.split('/').includes('..') && !path.includes('\0')
  if (isInside) return path
  throw new FetchError(`${archive}: ${JSON.stringify(entry.slice(0, 80))} leads out of the archive`)
}

async function dataMember(archive: string, name: string): Promise<Member> {
  const file = await open(archive)
  try {
    const { size } = await file.stat()
    let at = AR_MAGIC.length
    if ((await textAt(file, 0, at)) !== AR_MAGIC) throw new FetchError(`${name}: is no package`)
    for (let count = 0; count < MEMBERS_MAX && at < size; count++) {
      const member = memberAt(at, await textAt(file, at, AR_HEADER_BYTES))
      if (member === null || member.end > size) throw new FetchError(`${name}: is damaged`)
      if (/^data[.]tar([.](xz|gz|zst))?$/.test(member.name)) return member
      at = member.end + (member.end % 2)
    }
    throw new FetchError(`${name}: has no data.tar that can be unpacked`)
  } finally {
    await file.close()
  }
}

async function textAt(file: FileHandle, at: number, length: number): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at)
  return buffer.toString('latin1', 0, bytesRead)
}

/** ar(5): a name of 16 characters, times and owners, at 48 the size in decimal, and two characters of magic. */
function memberAt(at: number, header: string): Member | null {
  const size = header.slice(48, 58).trimEnd()
  if (header.slice(58) !== '`\n' || !/^[1-9]\d*$/.test(size)) return null
  const start = at + AR_HEADER_BYTES
  return { name: header.slice(0, 16).replace(/\/? *$/, ''), start, end: start + Number(size) }
}
