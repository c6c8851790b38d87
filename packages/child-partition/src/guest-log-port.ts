// The guest's end of its log port, with an allowance: a port has no back-pressure, and what a guest posts waits in its worker process's
// memory. A guest that logs too much is cut here; one that posts past this class is ended there.

import type { LogPort } from '@guestyard/engine/node'

import { GUEST_LOG_LINES_PER_SECOND, GUEST_LOG_LINE_MAX } from './worker-protocol.ts'

/** VP's thread only. */
export class GuestLogPort implements LogPort {
  readonly #port: LogPort
  readonly #nowMs: () => number
  #second: number
  #lines: number
  #dropped: number

  constructor(port: LogPort, nowMs: () => number) {
    this.#port = port
    this.#nowMs = nowMs
    this.#second = -1
    this.#lines = 0
    this.#dropped = 0
  }

  /** Sends a line, unless it is too long or one too many in its second. A later line says how many were dropped. */
  postMessage(line: string): void {
    const second = Math.floor(this.#nowMs() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#lines = 0
    }
    if (this.#lines >= GUEST_LOG_LINES_PER_SECOND || line.length > GUEST_LOG_LINE_MAX) {
      this.#dropped += 1
      return
    }
    if (this.#dropped > 0) this.#tellDropped()
    this.#lines += 1
    this.#port.postMessage(line)
  }

  #tellDropped(): void {
    const line = { level: 40, time: Date.now(), dropped: this.#dropped, msg: 'log lines dropped' }
    this.#dropped = 0
    this.#lines += 1
    this.#port.postMessage(`${JSON.stringify(line)}\n`)
  }
}
