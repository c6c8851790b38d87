// What a Debian archive says of itself: its Release, which names index files and their hashes, and Packages, which names packages and theirs
// (https://wiki.debian.org/DebianRepository/Format). Both are paragraphs of `Field: value`.

import { FetchError } from './fetch-error.ts'

/** A file as the archive describes it. */
export interface IndexedFile {
  /** Relative to where the index belongs: plain names, none of them `..`. */
  readonly path: string
  readonly sizeBytes: number
  /** Hex. */
  readonly sha256: string
}

export interface Release {
  readonly suite: string
  readonly codename: string
  /** Whether index files are also found by their hashes, so that an update of the mirror changes nothing under way. */
  readonly isByHash: boolean
  /** After which it must not be believed; null: for good. */
  readonly validUntil: Date | null
  readonly files: ReadonlyMap<string, IndexedFile>
}

export interface IndexedPackage {
  readonly name: string
  readonly version: string
  readonly depends: string
  readonly file: IndexedFile
}

/** Longer paragraphs are no index. */
const PARAGRAPH_CHARS_MAX = 1 << 20

/** `where` begins what is said of a Release that is none. */
export function parseRelease(text: string, where: string): Release {
  const fields = fieldsOf(text)
  const files = new Map<string, IndexedFile>()
  for (const line of (fields.get('SHA256') ?? '').split('\n')) {
    const [sha256 = '', size = '', path = ''] = line.trim().split(/\s+/)
    const file = indexedFile(path, size, sha256)
    if (file !== null) files.set(path, file)
  }
  if (files.size === 0) throw new FetchError(`${where}: names no files with their SHA-256`)
  const until = fields.get('Valid-Until')
  return {
    suite: fields.get('Suite') ?? '',
    codename: fields.get('Codename') ?? '',
    isByHash: fields.get('Acquire-By-Hash') === 'yes',
    validUntil: until === undefined ? null : new Date(until),
    files,
  }
}

/** Null for a paragraph that describes no package with an archive. */
export function parsePackage(paragraph: string): IndexedPackage | null {
  const fields = fieldsOf(paragraph)
  const name = fields.get('Package')
  const version = fields.get('Version')
  if (name === undefined || version === undefined) return null
  const [path, size, sha256] = ['Filename', 'Size', 'SHA256'].map((field) => fields.get(field))
  const file = indexedFile(path ?? '', size ?? '', sha256 ?? '')
  return file === null ? null : { name, version, depends: fields.get('Depends') ?? '', file }
}

/** Paragraphs of a text that comes in pieces. Throws a FetchError for one without end. */
export async function* paragraphs(
  pieces: AsyncIterable<Uint8Array>,
  where: string,
): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const piece of pieces) {
    const parts = (rest + decoder.decode(piece, { stream: true })).split('\n\n')
    rest = parts.pop()!
    if (rest.length > PARAGRAPH_CHARS_MAX) throw new FetchError(`${where}: is no index of packages`)
    yield* parts
  }
  yield rest + decoder.decode()
}

function indexedFile(path: string, size: string, sha256: string): IndexedFile | null {
  const isPlain = /^[\w.+~:-]+(\/[\w.+~:-]+)*$/.test(path) && !path.split('/').includes('..')
  if (!isPlain || !/^\d{1,12}$/.test(size) || !/^[\da-f]{64}$/.test(sha256)) return null
  return { path, sizeBytes: Number(size), sha256 }
}

/** A field goes on in lines that begin with a blank. */
function fieldsOf(paragraph: string): Map<string, string> {
  const fields = new Map<string, string>()
  let last = ''
  for (const line of paragraph.split('\n')) {
    const [, name, value = ''] = /^([\w-]+):\s*(.*)$/.exec(line) ?? []
    if (name !== undefined) fields.set((last = name), value.trim())
    else if (/^[ \t]/.test(line)) fields.set(last, `${fields.get(last) ?? ''}\n${line}`)
  }
  return fields
}
