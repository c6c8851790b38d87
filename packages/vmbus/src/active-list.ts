// HOT
// The channels that may have work. A signal puts a channel on the list, some polls in a row without work arm its
// rings and take it off. The list keeps a place in each entry, so that adding and removing cost the same
// for one channel and for two thousand, and nothing is allocated.

import { assert } from '@guestyard/hvdef'
import type { Channel, ChannelProgram } from './channel.ts'
import type { ChannelTrace } from './channel-trace.ts'

/** Units of work one channel may do before the next one gets its turn. */
export const POLL_SLICE = 256
/**
 * Polls in a row without work after which a channel is armed and dropped. Fewer would cost a peer that answers within a
 * microsecond a hypercall for each packet; more would be polls of channels that have gone quiet.
 */
export const IDLE_POLLS_MAX = 256

/** A running program and its place on the list. Made once, when the channel opens. */
export class ActiveEntry {
  readonly program: ChannelProgram
  /** The channel it runs on, for a trace. */
  readonly channel: Channel | null
  /** Index on the list, -1 while off it. Written by ActiveList alone. */
  position: number
  /** Polls in a row that found nothing. Written by ActiveList alone. */
  idlePolls: number

  constructor(program: ChannelProgram, channel: Channel | null = null) {
    this.program = program
    this.channel = channel
    this.position = -1
    this.idlePolls = 0
  }
}

export class ActiveList {
  readonly #entries: ActiveEntry[] = []
  readonly #trace: ChannelTrace | null
  #cursor = 0

  constructor(trace: ChannelTrace | null = null) {
    this.#trace = trace
  }

  /** Channels that will be polled. */
  get size(): number {
    return this.#entries.length
  }

  /** Puts a channel on the list with its signals off. Nothing happens when it is there already. */
  add(entry: ActiveEntry): void {
    entry.idlePolls = 0
    if (entry.position >= 0) return
    entry.position = this.#entries.length
    this.#entries.push(entry)
    entry.program.disarm()
  }

  /** Takes a channel off the list; its rings are left as they are. */
  remove(entry: ActiveEntry): void {
    const position = entry.position
    if (position < 0) return
    const last = this.#entries.pop()
    assert(last !== undefined, 'An entry with a place is on the list.')
    if (last !== entry) {
      this.#entries[position] = last
      last.position = position
    }
    entry.position = -1
  }

  /** Polls each channel at most once, in turn, until the budget is used. Returns the units done. */
  poll(budget: number): number {
    const entries = this.#entries
    let done = 0
    let visits = entries.length
    while (visits > 0 && done < budget && entries.length > 0) {
      visits -= 1
      if (this.#cursor >= entries.length) this.#cursor = 0
      const cursor = this.#cursor
      const entry = entries[cursor]!
      const left = budget - done
      const slice = left < POLL_SLICE ? left : POLL_SLICE
      const units =
        this.#trace === null || entry.channel === null
          ? entry.program.poll(slice)
          : this.#trace.poll(entry.program, entry.channel, slice)
      done += units
      // The program may have failed its channel: then another entry has taken its place.
      if (entry.position !== cursor) continue
      if (units > 0) {
        entry.idlePolls = 0
        this.#cursor = cursor + 1
      } else if (this.#stays(entry)) {
        this.#cursor = cursor + 1
      } else {
        this.remove(entry)
      }
    }
    return done
  }

  /** Arms every channel. True when one of them found work: it stays on the list, disarmed. */
  arm(): boolean {
    const entries = this.#entries
    while (entries.length > 0) {
      const entry = entries[entries.length - 1]!
      const found = entry.program.arm()
      if (entry.position < 0) continue
      if (found) {
        entry.program.disarm()
        entry.idlePolls = 0
        return true
      }
      this.remove(entry)
    }
    return false
  }

  #stays(entry: ActiveEntry): boolean {
    entry.idlePolls += 1
    if (entry.idlePolls < IDLE_POLLS_MAX) return true
    const found = entry.program.arm()
    if (entry.position < 0) return false
    if (!found) return false
    entry.program.disarm()
    entry.idlePolls = 0
    return true
  }
}
