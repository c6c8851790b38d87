import { ringFaultName } from '@guestyard/ring'
import type { VmbusServerEvent } from '@guestyard/vmbus/server'

/** The part of a pino logger that is used here. */
export interface EventLog {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Lines that one partition's guest may cause in a second, of each kind: faults, and the rest. */
export const BUS_LINES_PER_SECOND = 10

interface Allowance {
  /** Second that the count is of. */
  second: number
  lines: number
  dropped: number
}

/**
 * Bus events as log lines. A guest can cause them at any rate, so each partition has an allowance a second; the first
 * line of a later second says how many were dropped. Faults have an allowance of their own, or a guest could hide them
 * behind channels that it opens and closes.
 */
export class BusLog {
  readonly #log: EventLog
  readonly #clock: { readonly nowMs: number }
  readonly #faults: Map<number, Allowance> = new Map()
  readonly #others: Map<number, Allowance> = new Map()

  constructor(log: EventLog, clock: { readonly nowMs: number }) {
    this.#log = log
    this.#clock = clock
  }

  write(partitionId: number, event: VmbusServerEvent): void {
    const isFault = event.is === 'guest-error' || event.is === 'channel-failed'
    const dropped = this.#admit(isFault ? this.#faults : this.#others, partitionId)
    if (dropped < 0) return
    const named = 'reason' in event ? { ...event, reason: nameOf(event.reason) } : event
    const fields = dropped === 0 ? { partitionId, ...named } : { partitionId, ...named, dropped }
    if (event.is === 'guest-error') this.#log.warn(fields, 'guest error on the bus')
    else if (event.is === 'channel-failed') this.#log.error(fields, 'channel failed')
    else this.#log.debug(fields, 'bus')
  }

  /** The partition is gone. */
  forget(partitionId: number): void {
    this.#faults.delete(partitionId)
    this.#others.delete(partitionId)
  }

  /** Lines dropped since the last that was written, or -1: this one is dropped too. */
  #admit(allowances: Map<number, Allowance>, partitionId: number): number {
    const second = Math.floor(this.#clock.nowMs / 1000)
    let allowance = allowances.get(partitionId)
    if (allowance === undefined) {
      allowance = { second, lines: 0, dropped: 0 }
      allowances.set(partitionId, allowance)
    }
    if (allowance.second !== second) {
      allowance.second = second
      allowance.lines = 0
    }
    if (allowance.lines >= BUS_LINES_PER_SECOND) {
      allowance.dropped += 1
      return -1
    }
    allowance.lines += 1
    const { dropped } = allowance
    allowance.dropped = 0
    return dropped
  }
}

/** A RingFault by its name, a device's own text as it is. */
function nameOf(reason: number | string): string {
  return typeof reason === 'number' ? ringFaultName(reason) : reason
}
