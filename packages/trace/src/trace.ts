// HOT (where a trace is kept; nothing anywhere else)
// What a machine tells of what it does. Classes on a hot path hold a `Trace | null`: without a trace that is one compare.
//
// Every record names its cause: the record that led to it. Within one actor's turn that is what the actor is at (`cause`). What
// travels through shared memory carries no record's number, so whoever leaves something there also leaves the number of its record
// under a key that the taker can compute (`leave`, `takeUp`): a flag raised twice before it is taken was caused by the first raise.

import type { TraceKind } from './kinds.ts'

/** Where records go. Called in order; ids begin at 1. */
export interface TraceSink {
  record(
    id: number,
    timeNs: number,
    actor: number,
    kind: TraceKind,
    cause: number,
    a: number,
    b: number,
    c: number,
  ): void
  /** An actor that later records name by its number. */
  actor(actor: number, name: string): void
}

/** What can be left for another actor to take up. */
export const TraceLink = {
  MESSAGE_TO_ROOT: 0,
  EVENT_TO_ROOT: 1,
  MESSAGE_TO_VP: 2,
  EVENT_TO_VP: 3,
} as const
export type TraceLink = (typeof TraceLink)[keyof typeof TraceLink]

/** The key of one place in memory between the root and a partition: a queue, a slot, a SINT's message slot, a flag. */
export function traceKey(link: TraceLink, partition: number, vp: number, place: number): number {
  return ((partition * 4 + link) * 64 + vp) * 65_536 + place
}

/** One thread's trace. */
export class Trace {
  /** Number of the actor whose turn it is. Whoever gives turns writes it. */
  actor = 0
  /** Id of the record that led to what happens now; 0: nothing did. */
  cause = 0
  readonly #sink: TraceSink
  readonly #nowNs: () => number
  readonly #left: Map<number, number> = new Map()
  #lastId = 0

  /** `nowNs`: whole nanoseconds of the machine's time. */
  constructor(sink: TraceSink, nowNs: () => number) {
    this.#sink = sink
    this.#nowNs = nowNs
  }

  /** Records what happens now. Returns its id. */
  record(kind: TraceKind, a: number, b = 0, c = 0): number {
    this.#lastId += 1
    this.#sink.record(this.#lastId, this.#nowNs(), this.actor, kind, this.cause, a, b, c)
    return this.#lastId
  }

  /** As `record`, with another cause than the one of the turn. */
  recordWith(cause: number, kind: TraceKind, a: number, b = 0, c = 0): number {
    this.#lastId += 1
    this.#sink.record(this.#lastId, this.#nowNs(), this.actor, kind, cause, a, b, c)
    return this.#lastId
  }

  nameActor(actor: number, name: string): void {
    this.#sink.actor(actor, name)
  }

  /** What was recorded as `id` waits under `key` until it is taken up. The first of several counts. */
  leave(key: number, id: number): void {
    if (!this.#left.has(key)) this.#left.set(key, id)
  }

  /** The id that waits under `key`, once; the cause of the turn when none does. */
  takeUp(key: number): number {
    const id = this.#left.get(key)
    if (id === undefined) return this.cause
    this.#left.delete(key)
    return id
  }
}
