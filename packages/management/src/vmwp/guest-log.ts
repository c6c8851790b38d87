// A guest's log lines on their way out. They are the guest's words: parsed, bound to the guest's name here, and limited.

import {
  GUEST_LOG_LINES_PER_SECOND,
  GUEST_LOG_LINE_MAX,
} from '@guestyard/child-partition/worker-protocol'
import type { PortLogger } from '@guestyard/engine/node'

/**
 * What no guest's logger ever sends, so that a port that carries it is written by something else: lines in a second, fifty seconds' worth
 * to a thread that could not read them sooner, and messages that are no lines.
 */
export const FLOOD_LINES_PER_SECOND: number = GUEST_LOG_LINES_PER_SECOND * 50
export const FLOOD_JUNK = 16
/** Fields that this side writes itself. */
const OURS = new Set(['level', 'time', 'pid', 'hostname', 'component', 'vm', 'partitionId', 'msg'])

export class GuestLog {
  readonly #log: PortLogger
  readonly #nowMs: () => number
  readonly #onFlood: () => void
  #junk: number
  #second: number
  #lines: number
  #dropped: number

  /** `log`: bound to the guest it is for. `onFlood`: the guest posts past its logger; told once or more. */
  constructor(log: PortLogger, nowMs: () => number, onFlood: () => void) {
    this.#log = log
    this.#nowMs = nowMs
    this.#onFlood = onFlood
    this.#junk = 0
    this.#second = -1
    this.#lines = 0
    this.#dropped = 0
  }

  /** Whatever the guest's thread posted. */
  accept(line: unknown): void {
    if (!this.#admit()) return
    const entry = typeof line === 'string' && line.length <= GUEST_LOG_LINE_MAX ? parse(line) : null
    if (entry === null) {
      this.#dropped += 1
      this.#junk += 1
      if (this.#junk > FLOOD_JUNK) this.#onFlood()
      return
    }
    const fields: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(entry)) if (!OURS.has(name)) fields[name] = value
    if (this.#dropped > 0) fields['dropped'] = this.#dropped
    this.#dropped = 0
    this.#write(entry['level'], fields, entry['msg'])
  }

  #write(level: unknown, fields: Readonly<Record<string, unknown>>, message: unknown): void {
    const text = typeof message === 'string' ? message : ''
    if (level === 60) this.#log.fatal(fields, text)
    else if (level === 50) this.#log.error(fields, text)
    else if (level === 40) this.#log.warn(fields, text)
    else if (level === 20) this.#log.debug(fields, text)
    else if (level === 10) this.#log.trace(fields, text)
    else this.#log.info(fields, text)
  }

  #admit(): boolean {
    const second = Math.floor(this.#nowMs() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#lines = 0
    }
    this.#lines += 1
    if (this.#lines <= GUEST_LOG_LINES_PER_SECOND) return true
    if (this.#lines > FLOOD_LINES_PER_SECOND) this.#onFlood()
    this.#dropped += 1
    return false
  }
}

function parse(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const entry: unknown = JSON.parse(line)
    const isObject = typeof entry === 'object' && entry !== null && !Array.isArray(entry)
    return isObject ? (entry as Readonly<Record<string, unknown>>) : null
  } catch {
    // Not pino's line: the guest's own, and dropped.
    return null
  }
}
