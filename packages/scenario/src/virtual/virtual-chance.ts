// Chance in a virtual run: every generator of the platform draws from the running program's own, which follows from the seed. What
// Node's cryptography makes up inside itself, keys and signatures, stays its own.

import nodeCrypto from 'node:crypto'

import type { SeededRandom } from '@guestyard/engine/virtual'

import type { Patches } from './patches.ts'

type Bytes = ArrayBufferView | ArrayBufferLike
type Callback<T> = (error: null, value: T) => void

export interface ChanceSources {
  /** The generator of the program that is running. */
  random(): SeededRandom
  /** Whole milliseconds since 1970. */
  dateMs(): number
}

export function patchChance(patches: Patches, sources: ChanceSources): void {
  const fill = <T extends Bytes>(target: T, offset = 0, size?: number): T => {
    const bytes = bytesOf(target)
    // As in Node: both count elements of the array.
    const unit = (target as { readonly BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1
    const from = offset * unit
    const to = size === undefined ? bytes.length : from + size * unit
    if (!(from >= 0 && from <= to && to <= bytes.length)) {
      throw new RangeError('The value of "offset" or "size" is out of range.')
    }
    sources.random().fillBytes(bytes.subarray(from, to))
    return target
  }
  const later = <T>(callback: Callback<T>, value: T): void =>
    void setImmediate(() => callback(null, value))
  const getRandomValues = <T extends ArrayBufferView>(array: T): T => fill(array)
  const randomUUID = (): string => uuidOf(fill(new Uint8Array(16)), 4)
  const integer = (from: number, to: number): number => {
    if (!(Number.isSafeInteger(from) && Number.isSafeInteger(to) && from < to)) {
      throw new RangeError('The value of "max" is out of range.')
    }
    return from + Math.floor(sources.random().float() * (to - from))
  }
  const functions: Record<string, unknown> = {
    getRandomValues,
    randomUUID,
    randomFillSync: fill,
    randomFill: (target: Bytes, ...rest: unknown[]) => {
      const callback = rest.pop() as Callback<Bytes>
      const [offset, size] = rest as number[]
      later(callback, fill(target, offset, size))
    },
    randomBytes: (size: number, callback?: Callback<Buffer>) => {
      const bytes = fill(Buffer.alloc(size))
      if (callback === undefined) return bytes
      return later(callback, bytes)
    },
    randomInt: (...args: unknown[]) => {
      const callback = typeof args.at(-1) === 'function' ? (args.pop() as Callback<number>) : null
      const [first, second] = args as number[]
      const value = second === undefined ? integer(0, first!) : integer(first!, second)
      return callback === null ? value : later(callback, value)
    },
    randomUUIDv7: () => {
      const bytes = fill(new Uint8Array(16))
      const ms = sources.dateMs()
      for (let at = 0; at < 6; at++) bytes[at] = Math.floor(ms / 2 ** (40 - 8 * at)) & 0xff
      return uuidOf(bytes, 7)
    },
  }
  patches.value(Math, 'random', () => sources.random().float())
  for (const [name, value] of Object.entries(functions)) {
    if (name in nodeCrypto) patches.value(nodeCrypto, name, value)
  }
  for (const place of [crypto, Object.getPrototypeOf(crypto) as object]) {
    patches.value(place, 'getRandomValues', getRandomValues)
    patches.value(place, 'randomUUID', randomUUID)
  }
}

function bytesOf(target: Bytes): Uint8Array {
  if (!ArrayBuffer.isView(target)) return new Uint8Array(target)
  return new Uint8Array(target.buffer, target.byteOffset, target.byteLength)
}

/** Version 4 or 7 of RFC 9562. */
function uuidOf(bytes: Uint8Array, version: number): string {
  bytes[6] = (bytes[6]! & 0x0f) | (version << 4)
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = Buffer.from(bytes).toString('hex')
  return [8, 12, 16, 20, 32]
    .map((end, index) => hex.slice([0, 8, 12, 16, 20][index], end))
    .join('-')
}
