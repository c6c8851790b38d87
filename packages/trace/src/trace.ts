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
  /** Packets on a channel, by its id. */
  PACKETS_TO_ROOT: 4,
  PACKETS_TO_VP: 5,
  /** What freed a logical processor, by its number. */
  PROCESSOR: 6,
} as const
export type TraceLink = (typeof TraceLink)[keyof typeof TraceLink]

/** The key of one place in memory between the root and a partition: a message queue, an event's slot, a VP's inbox. */
export function traceKey(link: TraceLink, partition: number, vp: number, place: number): number {
  return ((partition * 8 + link) * 64 + vp) * 65_536 + place
}

/** Messages that wait for one VP at most: more than its queues hold. */
const QUEUED_MAX = 1024

/** One thread's trace. */
export class Trace {
  /** Number of the actor whose turn it is. Whoever gives turns writes it. */
  actor = 0
  /** Id of the record that led to what happens now; 0: nothing did. */
  cause = 0
  readonly #sink: TraceSink
  readonly #nowNs: () => number
  readonly #left: Map<number, number> = new Map()
  readonly #queued: Map<number, number[]> = new Map()
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

  /** As `begin`, caused by what was left under a key. */
  beginWith(key: number, kind: TraceKind, a: number, b = 0, c = 0): void {
    const left = this.takeUp(key)
    if (left !== 0) this.cause = left
    this.begin(kind, a, b, c)
  }

  /** As `begin`, and leaves it under a key. */
  beginFor(key: number, kind: TraceKind, a: number, b = 0, c = 0): void {
    this.begin(kind, a, b, c)
    this.leave(key, this.cause)
  }

  /** Records what has consequences within the turn: it is their cause. Returns the cause it replaces. */
  begin(kind: TraceKind, a: number, b = 0, c = 0): number {
    const before = this.cause
    this.cause = this.record(kind, a, b, c)
    return before
  }

  nameActor(actor: number, name: string): void {
    this.#sink.actor(actor, name)
  }

  /** What was recorded as `id` waits under `key` until it is taken up. The first of several counts. */
  leave(key: number, id: number): void {
    if (!this.#left.has(key)) this.#left.set(key, id)
  }

  /** As `leave`, behind what waits there already: each is taken up by itself. */
  queue(key: number, id: number): void {
    const waiting = this.#queued.get(key)
    if (waiting === undefined) this.#queued.set(key, [id])
    else if (waiting.length < QUEUED_MAX) waiting.push(id)
  }

  /** The id that waits under `key`, once; 0 when none does. */
  takeUp(key: number): number {
    const id = this.#left.get(key) ?? 0
    if (id !== 0) this.#left.delete(key)
    return id
  }

  /** The id that has waited longest under `key`, once; 0 when none does. */
  takeNext(key: number): number {
    return this.#queued.get(key)?.shift() ?? 0
  }
}
