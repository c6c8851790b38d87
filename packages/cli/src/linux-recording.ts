/**
 * Recordings of console sessions: a file of JSON lines. The first says what ran, each other one an input and in front of which turn it came, the last
 * how it ended and what the console's bytes were.
 */

import { createHash, type Hash } from 'node:crypto'
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'

import { InputError, type SessionEnd, type SessionInput } from '@guestyard/scenario'

const VERSION = 1

/** What a session depends on beside its inputs. */
export interface RecordedSettings {
  readonly seed: number
  readonly memoryBytes: number
  readonly append: string
  /** The guest's files: its release, and one hash of all their hashes. */
  readonly release: string
  readonly files: string
}

/** What two runs of a session have to agree about. */
export interface RecordedEnd {
  readonly reason: string
  readonly turns: number
  readonly virtualMs: number
  readonly consoleBytes: number
  /** SHA-256 in hex. */
  readonly console: string
}

export interface Recording {
  readonly settings: RecordedSettings
  readonly inputs: readonly SessionInput[]
  /** Null for a session whose end was not seen. */
  readonly end: RecordedEnd | null
}

/** What a console said, as far as it is compared. */
export class ConsoleDigest {
  readonly #hash: Hash = createHash('sha256')
  #bytes = 0

  add(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.#bytes += bytes.length
  }

  end({ exit, turns, virtualMs }: SessionEnd): RecordedEnd {
    const console = this.#hash.digest('hex')
    return { reason: exit.reason, turns, virtualMs, consoleBytes: this.#bytes, console }
  }
}

/** Writes a recording as it happens: what is written stays, however the session ends. */
export class RecordingFile {
  readonly #file: number

  /** Throws an InputError for a file that can't be written. */
  constructor(path: string, settings: RecordedSettings) {
    try {
      this.#file = openSync(path, 'w')
    } catch (error) {
      throw new InputError('--record', `cannot write ${path}: ${messageOf(error)}`)
    }
    this.#line({ guestyard: 'console session', version: VERSION, ...settings })
  }

  input(input: SessionInput): void {
    this.#line(input.is === 'keys' ? { ...input, bytes: base64(input.bytes) } : input)
  }

  end(end: RecordedEnd): void {
    this.#line({ end })
  }

  close(): void {
    closeSync(this.#file)
  }

  #line(value: unknown): void {
    writeSync(this.#file, `${JSON.stringify(value)}\n`)
  }
}

/** Throws an InputError that names the line that is none of a recording's. */
export function readRecording(path: string): Recording {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new InputError('--replay', `cannot read ${path}: ${messageOf(error)}`)
  }
  return parseRecording(text, path)
}

export function parseRecording(text: string, name: string): Recording {
  const lines = text.split('\n')
  // What follows the last line end was cut off while it was written, or is nothing.
  lines.pop()
  const [first, ...rest] = lines.map((line, index) => objectOf(line, `${name}:${index + 1}`))
  if (first === undefined || first['guestyard'] !== 'console session') {
    throw new InputError('--replay', `${name}: not the recording of a console session`)
  }
  if (first['version'] !== VERSION) {
    const version = JSON.stringify(first['version'])
    throw new InputError('--replay', `${name}: version ${version} is not ${VERSION}`)
  }
  const settings = settingsOf(first, `${name}:1`)
  const inputs: SessionInput[] = []
  let end: RecordedEnd | null = null
  let lastTurn = 0
  for (const [index, line] of rest.entries()) {
    const where = `${name}:${index + 2}`
    if (end !== null) throw new InputError('--replay', `${where}: follows the end`)
    if ('end' in line) {
      end = endOf(line['end'], where)
    } else {
      const input = inputOf(line, where)
      if (input.turn < lastTurn) throw new InputError('--replay', `${where}: goes back in time`)
      lastTurn = input.turn
      inputs.push(input)
    }
  }
  return { settings, inputs, end }
}

type Line = Readonly<Record<string, unknown>>

function objectOf(line: string, where: string): Line {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null) return value as Line
  } catch {
    // Told below.
  }
  throw new InputError('--replay', `${where}: not an object in JSON`)
}

function settingsOf(line: Line, where: string): RecordedSettings {
  const { seed, memoryBytes, append, release, files } = line
  if (isCount(seed) && isCount(memoryBytes) && isText(append) && isText(release) && isText(files)) {
    return { seed, memoryBytes, append, release, files }
  }
  throw new InputError('--replay', `${where}: does not say what ran`)
}

function inputOf(line: Line, where: string): SessionInput {
  const { turn, is, bytes, script } = line
  if (isCount(turn)) {
    if (is === 'keys' && isText(bytes)) {
      return { turn, is, bytes: Uint8Array.from(Buffer.from(bytes, 'base64')) }
    }
    if (is === 'exec' && isText(script)) return { turn, is, script }
    if (is === 'leave') return { turn, is }
  }
  throw new InputError('--replay', `${where}: not an input of a session`)
}

function endOf(value: unknown, where: string): RecordedEnd {
  if (typeof value === 'object' && value !== null) {
    const { reason, turns, virtualMs, consoleBytes, console } = value as Line
    const isEnd = isText(reason) && isCount(turns) && typeof virtualMs === 'number'
    if (isEnd && isCount(consoleBytes) && isText(console)) {
      return { reason, turns, virtualMs, consoleBytes, console }
    }
  }
  throw new InputError('--replay', `${where}: not the end of a session`)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
