/**
 * Every knob of the load generator, checked. What people write (`LoadOptions`) becomes `LoadSettings`:
 * plain numbers, all of them present, so that two runs can be compared field by field.
 */

import { GPADL_RANGE_BYTES_MAX, PAGE_SIZE } from '@guestyard/hvdef'
import { checkLoadSpec } from '@guestyard/load-device/protocol'
import type { LoadDirection, LoadSpec, LoadWaiting } from '@guestyard/load-device/protocol'

import { InputError } from '../input-error.ts'
import { formatBytes, parseByteSize, parseDurationMs, show } from '../quantity.ts'

/** What can be asked of a load; all of it optional. */
export interface LoadOptions {
  /** Name in reports; made from the settings when left out. */
  readonly name?: string
  /** Bytes of a packet, 8 B to 64 KiB. Default 64. */
  readonly payload?: number | string
  /** Packets written before one publication, 1..1024. Default 32; 1 for `echo`. */
  readonly batch?: number
  /** Echo packets under way on a channel, 1..4096. Default 1. Other directions fill the ring. */
  readonly window?: number
  /** Channels of each guest, 1..16. Default 1. */
  readonly channels?: number
  /** Default `guest-to-root`; `echo` measures round trips. */
  readonly direction?: LoadDirection
  /** How the guests wait. Default `adaptive`: spin, then sleep. */
  readonly waiting?: LoadWaiting
  /** How long a guest spins before it sleeps. Default 20 µs. */
  readonly spin?: string
  /** Bytes of each ring, its control page included: a multiple of 4096, below 16 MiB. Default 1 MiB. */
  readonly ring?: number | string
  /**
   * Packets a second, over all guests and channels: an open loop, whose latency counts from the moment
   * a packet was meant to be sent. Left out: a closed loop, as fast as flow control lets it.
   */
  readonly rate?: number
  /** How long is measured, such as `'5 s'`. Default 1 s. */
  readonly duration?: string
  /** How many packets are measured on each channel, in place of `duration`. */
  readonly packets?: number
  /** What runs before, unmeasured. Default 200 ms. */
  readonly warmUp?: string
  /** How often it is measured; reports have the medians. Default 3. */
  readonly repeats?: number
}

/** The options of a sweep: the same, over several payload sizes, their repeats interleaved. */
export interface SweepOptions extends Omit<LoadOptions, 'payload'> {
  readonly payloads: readonly (number | string)[]
}

/** Options with every default filled in: plain data, comparable field by field. */
export interface LoadSettings {
  readonly name: string
  readonly guests: number
  readonly payloadBytes: number
  readonly batch: number
  readonly window: number
  readonly channels: number
  readonly direction: LoadDirection
  readonly waiting: LoadWaiting
  readonly spinMicroseconds: number
  readonly ringBytes: number
  /** Packets a second over all guests and channels; `null` for a closed loop. */
  readonly ratePerSecond: number | null
  /** What is measured: milliseconds, or packets on each channel; the other is `null`. */
  readonly durationMs: number | null
  readonly packets: number | null
  readonly warmUpMs: number
  readonly repeats: number
}

/** Spells an option's name in errors: a field of a scenario, or a flag. */
export type FieldName = (option: string) => string

const DURATION_MAX_MS = 24 * 3.6e6
const REPEATS_MAX = 1000
const GUESTS_MAX = 256

/** One GPADL describes both rings of a channel: a header of 8 bytes, then 8 for each page. */
const RINGS_PAGES_MAX = GPADL_RANGE_BYTES_MAX / 8 - 1
const RING_PAGES_MAX = Math.floor(RINGS_PAGES_MAX / 2)
/** RAM that a guest keeps for everything but the rings of a load. */
const GUEST_OWN_BYTES = 2 ** 20

const OPTION_NAMES: readonly string[] = [
  'name',
  'payload',
  'batch',
  'window',
  'channels',
  'direction',
  'waiting',
  'spin',
  'ring',
  'rate',
  'duration',
  'packets',
  'warmUp',
  'repeats',
]

/** The option behind each field of a `LoadSpec`, so that errors name what was written. */
const OPTION_OF_SPEC_FIELD: Readonly<Record<string, string>> = {
  payloadBytes: 'payload',
  'loop.window': 'window',
  'loop.packetsPerSecond': 'rate',
  'loop.kind': 'rate',
  'warmUp.durationMs': 'warmUp',
  'measure.durationMs': 'duration',
  'measure.packets': 'packets',
  sendRingBytes: 'ring',
  receiveRingBytes: 'ring',
  spinMicroseconds: 'spin',
}

const fieldOfLoad: FieldName = (option) => `load.${option}`

/** Checks the options of a load over `guests` machines; throws `InputError` naming the option. */
export function loadSettings(
  options: LoadOptions,
  guests: number,
  fieldOf: FieldName = fieldOfLoad,
): LoadSettings {
  for (const key of Object.keys(options)) {
    if (!OPTION_NAMES.includes(key)) {
      throw new InputError(fieldOf(key), `unknown option (known: ${OPTION_NAMES.join(', ')})`)
    }
  }
  if (options.duration !== undefined && options.packets !== undefined) {
    throw new InputError(
      fieldOf('packets'),
      `stands in place of ${fieldOf('duration')}; give one of them`,
    )
  }
  const direction = options.direction ?? 'guest-to-root'
  const measured =
    options.packets === undefined
      ? { durationMs: duration(options.duration ?? '1 s', fieldOf('duration')), packets: null }
      : { durationMs: null, packets: options.packets }
  const settings = {
    guests: wholeNumber(guests, GUESTS_MAX, fieldOf('guests')),
    payloadBytes: bytes(options.payload ?? 64, fieldOf('payload')),
    batch: options.batch ?? (direction === 'echo' ? 1 : 32),
    window: options.window ?? 1,
    channels: options.channels ?? 1,
    direction,
    waiting: options.waiting ?? 'adaptive',
    spinMicroseconds: duration(options.spin ?? '20 us', fieldOf('spin')) * 1000,
    ringBytes: bytes(options.ring ?? '1 MiB', fieldOf('ring')),
    ratePerSecond: options.rate ?? null,
    ...measured,
    warmUpMs: duration(options.warmUp ?? '200 ms', fieldOf('warmUp')),
    repeats: wholeNumber(options.repeats ?? 3, REPEATS_MAX, fieldOf('repeats')),
  }
  const named = { name: options.name ?? defaultName(settings), ...settings }
  const wrong = checkLoadSpec(loadSpec(named))
  if (wrong !== undefined) {
    throw new InputError(fieldOf(OPTION_OF_SPEC_FIELD[wrong.field] ?? wrong.field), wrong.problem)
  }
  if (named.ringBytes > RING_PAGES_MAX * PAGE_SIZE) {
    throw new InputError(
      fieldOf('ring'),
      `must be at most ${RING_PAGES_MAX * PAGE_SIZE} (${RING_PAGES_MAX} pages: one GPADL describes ` +
        `both rings of a channel), got ${named.ringBytes}`,
    )
  }
  return named
}

/** Throws `InputError` when a guest of so much RAM has no room for the rings of a load. */
export function checkRingsFit(
  settings: LoadSettings,
  memoryBytes: number,
  fieldOf: FieldName = fieldOfLoad,
): void {
  const { ringBytes, channels } = settings
  const neededBytes = 2 * channels * ringBytes
  if (neededBytes <= memoryBytes - GUEST_OWN_BYTES) return
  const pairs = channels === 1 ? 'two rings' : `two rings for each of ${channels} channels`
  throw new InputError(
    fieldOf('ring'),
    `${pairs} of ${formatBytes(ringBytes)} take ${formatBytes(neededBytes)}; a guest of ` +
      `${formatBytes(memoryBytes)} has ${formatBytes(memoryBytes - GUEST_OWN_BYTES)} for them`,
  )
}

/** One setting for each size of a sweep. */
export function sweepSettings(
  options: SweepOptions,
  guests: number,
  fieldOf: FieldName = fieldOfLoad,
): readonly LoadSettings[] {
  const { payloads, name, ...rest } = options
  if (!Array.isArray(payloads) || payloads.length === 0) {
    throw new InputError(fieldOf('payloads'), 'expected a list of sizes, at least one')
  }
  return payloads.map((payload) => {
    const settings = loadSettings({ ...rest, payload }, guests, fieldOf)
    return name === undefined
      ? settings
      : { ...settings, name: `${name} ${formatBytes(settings.payloadBytes)}` }
  })
}

/** Whether a load times its packets: echoes have an answer, an open loop has moments to count from. */
export function measuresLatency(settings: LoadSettings): boolean {
  return settings.direction === 'echo' || settings.ratePerSecond !== null
}

/** What each guest is asked to run. An open loop's rate is shared out evenly among all channels. */
export function loadSpec(settings: LoadSettings): LoadSpec {
  const { ratePerSecond, guests, channels, packets, durationMs } = settings
  return {
    direction: settings.direction,
    payloadBytes: settings.payloadBytes,
    batch: settings.batch,
    loop:
      ratePerSecond === null
        ? { kind: 'closed', window: settings.window }
        : { kind: 'open', packetsPerSecond: ratePerSecond / (guests * channels) },
    warmUp: { kind: 'duration', durationMs: settings.warmUpMs },
    measure:
      packets === null
        ? { kind: 'duration', durationMs: durationMs ?? 0 }
        : { kind: 'packets', packets },
    channels,
    sendRingBytes: settings.ringBytes,
    receiveRingBytes: settings.ringBytes,
    waiting: settings.waiting,
    spinMicroseconds: settings.spinMicroseconds,
  }
}

function defaultName(settings: Omit<LoadSettings, 'name'>): string {
  const { direction, payloadBytes, batch, window, channels, guests, ratePerSecond } = settings
  const parts = [`${direction} ${formatBytes(payloadBytes)}`]
  parts.push(direction === 'echo' ? `window ${window}` : `batch ${batch}`)
  if (guests > 1) parts.push(`${guests} guests`)
  if (channels > 1) parts.push(`${channels} channels`)
  if (ratePerSecond !== null) parts.push(`${ratePerSecond}/s`)
  parts.push(settings.waiting)
  return parts.join(', ')
}

function bytes(input: number | string, field: string): number {
  const size = parseByteSize(input)
  if (!size.ok) throw new InputError(field, size.problem)
  return size.value
}

function duration(input: string, field: string): number {
  const parsed = parseDurationMs(input)
  if (!parsed.ok) throw new InputError(field, parsed.problem)
  if (parsed.value > DURATION_MAX_MS) {
    throw new InputError(field, `${show(input)} is too long: at most 24 h`)
  }
  return parsed.value
}

function wholeNumber(input: number, most: number, field: string): number {
  if (Number.isInteger(input) && input >= 1 && input <= most) return input
  throw new InputError(field, `must be a whole number from 1 to ${most}, got ${show(input)}`)
}
