// Where a differencing image says its parent is (MS-VHDX 2.6.2.6): pairs of text. Finding the file is for whoever opens it.

import { isGuid, parseGuid } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

import type { BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import { ParentLocatorEntry, ParentLocatorHeader, VHDX_LOCATOR } from './format.ts'

const FIELD = 'parent locator'
const ENTRIES_MAX = 64

/** What a differencing image knows of its parent. Paths are as they were written: Windows paths, most of the time. */
export interface ParentReference {
  /** The data write GUID that the parent must have. */
  readonly linkage: Guid
  /** Another that it may have: a merge was begun (MS-VHDX, note 12). */
  readonly linkage2: Guid | null
  /** To be tried in this order; null where there is none. */
  readonly relativePath: string | null
  readonly volumePath: string | null
  readonly absolutePath: string | null
}

/** Reads a locator's item. Throws an `ImageError`. */
export function parseParentLocator(file: BackingFile, item: Uint8Array): ParentReference {
  if (item.length < ParentLocatorHeader.size) throw new ImageError(file.name, FIELD, 'too short')
  const view = new DataView(item.buffer, item.byteOffset, item.length)
  const header = ParentLocatorHeader.decode(view)
  if (header.locatorType !== VHDX_LOCATOR) {
    throw new ImageError(file.name, `${FIELD}: type`, `${header.locatorType} is not a VHDX file`)
  }
  if (header.keyValueCount > ENTRIES_MAX) {
    throw new ImageError(file.name, `${FIELD}: count`, `${header.keyValueCount} entries`)
  }
  const pairs = new Map<string, string>()
  for (let index = 0; index < header.keyValueCount; index += 1) {
    const at = ParentLocatorHeader.size + index * ParentLocatorEntry.size
    const field = `${FIELD}: entry ${index}`
    if (at + ParentLocatorEntry.size > item.length) {
      throw new ImageError(file.name, field, 'it lies beyond the item')
    }
    const entry = ParentLocatorEntry.decode(view, at)
    const key = text(file, `${field}: key`, item, entry.keyOffset, entry.keyLength)
    if (pairs.has(key)) throw new ImageError(file.name, `${field}: key`, `"${key}" is there twice`)
    pairs.set(key, text(file, `${field}: value`, item, entry.valueOffset, entry.valueLength))
  }
  const linkage = linkageOf(file, pairs, 'parent_linkage')
  if (linkage === null) {
    throw new ImageError(file.name, FIELD, 'it has no parent_linkage')
  }
  return {
    linkage,
    linkage2: linkageOf(file, pairs, 'parent_linkage2'),
    relativePath: pairs.get('relative_path') ?? null,
    volumePath: pairs.get('volume_path') ?? null,
    absolutePath: pairs.get('absolute_win32_path') ?? null,
  }
}

/** The item of a reference. */
export function encodeParentLocator(reference: ParentReference): Uint8Array {
  const pairs: [string, string][] = [['parent_linkage', `{${reference.linkage}}`]]
  if (reference.linkage2 !== null) pairs.push(['parent_linkage2', `{${reference.linkage2}}`])
  if (reference.relativePath !== null) pairs.push(['relative_path', reference.relativePath])
  if (reference.volumePath !== null) pairs.push(['volume_path', reference.volumePath])
  if (reference.absolutePath !== null) pairs.push(['absolute_win32_path', reference.absolutePath])
  let end = ParentLocatorHeader.size + pairs.length * ParentLocatorEntry.size
  const item = new Uint8Array(
    pairs.reduce((sum, [key, value]) => sum + 2 * (key.length + value.length), end),
  )
  const view = new DataView(item.buffer)
  ParentLocatorHeader.encode(view, 0, { locatorType: VHDX_LOCATOR, keyValueCount: pairs.length })
  for (const [index, [key, value]] of pairs.entries()) {
    ParentLocatorEntry.encode(view, ParentLocatorHeader.size + index * ParentLocatorEntry.size, {
      keyOffset: end,
      valueOffset: end + 2 * key.length,
      keyLength: 2 * key.length,
      valueLength: 2 * value.length,
    })
    for (const letter of key + value) {
      for (let unit = 0; unit < letter.length; unit += 1) {
        view.setUint16(end, letter.charCodeAt(unit), true)
        end += 2
      }
    }
  }
  return item
}

function linkageOf(
  file: BackingFile,
  pairs: ReadonlyMap<string, string>,
  key: string,
): Guid | null {
  const value = pairs.get(key)
  if (value === undefined) return null
  const digits = value.toLowerCase().replace(/^\{(.*)\}$/, '$1')
  if (!isGuid(digits)) throw new ImageError(file.name, `${FIELD}: ${key}`, 'it is no GUID')
  return parseGuid(digits)
}

function text(
  file: BackingFile,
  field: string,
  item: Uint8Array,
  offset: number,
  length: number,
): string {
  if (length === 0 || length % 2 !== 0 || offset + length > item.length) {
    throw new ImageError(file.name, field, `${length} bytes at ${offset} are no text of the item`)
  }
  const view = new DataView(item.buffer, item.byteOffset + offset, length)
  let string = ''
  for (let at = 0; at < length; at += 2) string += String.fromCharCode(view.getUint16(at, true))
  return string
}
