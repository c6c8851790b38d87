// A pair of ends made in one call: shared memory for two rings and their doorbells, and a plain description of
// each end that survives `postMessage`. Opening an end (openBytes, openMessages) is up to the thread that gets it.
//
//   page 0            1 … n           n+1             n+2 … 2n+1      2n+2
//   control, 0 → 1 |  data, 0 → 1  |  control, 1 → 0 |  data, 1 → 0 |  channel page (messages/channel-words.ts)

import { GuestMemory, WASM_PAGE_SIZE, type WasmMemory } from '@guestyard/guestmem'
import { PAGE_SIZE } from '@guestyard/hvdef'
import { ChannelError } from './messages/channel-error.ts'
import { CHANNEL_PAGE_BYTES, type ChannelSide } from './messages/channel-words.ts'
import { type RingPages, contiguousRingPages, initializeRing, ringBytes } from './ring-pages.ts'

const BYTES_MIN = 4096
const BYTES_MAX = 2 ** 30
const BYTES_DEFAULT = 2 ** 20
const MESSAGE_BYTES_DEFAULT = 64 * 2 ** 20
const MESSAGE_BYTES_MAX = 2 ** 31 - 1
const UNIT_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
}

/** A number of bytes, as a number or with its unit: `65536`, `'64 KiB'`, `'1 MiB'`. */
export type ByteSize = number | string

export interface ChannelPairOptions {
  /** Data bytes of the ring of each direction, 4 KiB to 1 GiB, rounded up to whole pages. 1 MiB when left out. */
  readonly bytes?: ByteSize
  /** Longest message either end accepts, encoded. A message may be longer than the ring. 64 MiB when left out. */
  readonly maxMessageBytes?: ByteSize
}

/** One end of a pair that nobody has opened yet. Plain data: hand it to any thread by `postMessage` or `workerData`. */
export interface ChannelPort {
  readonly kind: 'guestyard-channel-port'
  readonly side: ChannelSide
  readonly memory: WasmMemory
  /** Data bytes of the ring of each direction, a multiple of 4096. */
  readonly dataBytes: number
  readonly maxMessageBytes: number
}

/**
 * Makes the two ends of a channel. Open each one once, on any thread of this process (or agent cluster).
 * Throws a ChannelError `bad-option` for a bad size.
 */
export function channelPair(options: ChannelPairOptions = {}): [ChannelPort, ChannelPort] {
  const bytes = readSize('bytes', options.bytes ?? BYTES_DEFAULT, BYTES_MIN, BYTES_MAX)
  const dataBytes = Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE
  const maxMessageBytes = readSize(
    'maxMessageBytes',
    options.maxMessageBytes ?? MESSAGE_BYTES_DEFAULT,
    1,
    MESSAGE_BYTES_MAX,
  )
  const usedBytes = channelPageOffset(dataBytes) + CHANNEL_PAGE_BYTES
  const { memory } = GuestMemory.create({
    sizeBytes: Math.ceil(usedBytes / WASM_PAGE_SIZE) * WASM_PAGE_SIZE,
  })
  initializeRing(channelRing(memory, dataBytes, 0))
  initializeRing(channelRing(memory, dataBytes, 1))
  const kind = 'guestyard-channel-port'
  return [
    { kind, side: 0, memory, dataBytes, maxMessageBytes },
    { kind, side: 1, memory, dataBytes, maxMessageBytes },
  ]
}

/** The ring that `side` sends in. */
export function channelRing(memory: WasmMemory, dataBytes: number, side: ChannelSide): RingPages {
  return contiguousRingPages(memory, side * ringBytes(dataBytes), dataBytes)
}

/** Byte offset of the page that the ends share beside their rings. */
export function channelPageOffset(dataBytes: number): number {
  return 2 * ringBytes(dataBytes)
}

function readSize(name: string, size: ByteSize, min: number, max: number): number {
  const bytes = typeof size === 'number' ? size : parseSize(size)
  if (Number.isInteger(bytes) && bytes >= min && bytes <= max) return bytes
  const got = typeof size === 'string' ? `'${size}'` : String(size)
  throw new ChannelError(
    'bad-option',
    `channelPair: ${name} must be a number of bytes or a text like '64 KiB' or '1 MiB', ` +
      `from ${min} to ${max} bytes; got ${got}`,
  )
}

function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?(B|KiB|MiB|GiB)$/.exec(text.trim())
  if (match === null) return Number.NaN
  return Number(match[1]) * (UNIT_BYTES[match[2]!] ?? Number.NaN)
}
