// What can be recorded: one row a kind, with the names of its three numbers, in the order in which they are written. A kind's number
// is part of the file format: rows are added at the end and never renumbered.

/** A kind of record. `fields` name its numbers `a`, `b` and `c`; those that are left out are 0. */
export interface TraceKindRow {
  readonly name: string
  readonly fields: readonly string[]
}

export const TraceKind = {
  /** An actor that slept is awake: somebody rang (`by` 0) or its deadline came (`by` 1). */
  WAKE: 0,
  /** Something asked of an actor outside its machine's polls: a timer that fired, a call from the scenario. */
  TASK: 1,
  /** A hypercall: its code, and the first word of its parameters (a fast call's connection). */
  HYPERCALL: 2,
  /** A VP left a message for a port. */
  MESSAGE_POSTED: 3,
  /** The root took what waits in a queue of messages. */
  MESSAGE_TAKEN: 4,
  /** A VP signalled an event port. */
  EVENT_SIGNALLED: 5,
  /** The root took the signal. */
  EVENT_TAKEN: 6,
  /** The root queued a message for a SINT of a VP. */
  MESSAGE_QUEUED: 7,
  /** The root raised an event flag of a SINT of a VP. */
  EVENT_RAISED: 8,
  /** A VP took an interrupt. */
  INTERRUPT: 9,
  /** Packets that one poll of a channel wrote to its ring. */
  PACKETS_PUBLISHED: 10,
  /** Packets that one poll of a channel read from its ring. */
  PACKETS_TAKEN: 11,
  /** The scheduler gave a VP a logical processor. */
  DISPATCH: 12,
  /** The scheduler takes it back: the VP is to stop at its next exit. */
  PREEMPT: 13,
  /** A VP had nothing to do and gave its logical processor back. */
  HALT: 14,
  /** A synthetic timer expired. */
  TIMER: 15,
  /** A VP is suspended until the owner of an intercept answers. */
  INTERCEPT: 16,
  /** A machine's life: created, booted, ended. */
  LIFE: 17,
  /** A VP computed, without an exit. */
  COMPUTE: 18,
  /** A hypercall that was not answered with SUCCESS: its status, or a negative number for a fault. */
  REFUSED: 19,
  /** A VP that was to stop has let go of its logical processor, which is free. */
  STOP: 20,
  /** A VP that is deleted has left the scheduler; what it held is free. */
  REMOVE: 21,
} as const

export type TraceKind = (typeof TraceKind)[keyof typeof TraceKind]

/** Row n describes kind n. */
export const TRACE_KINDS: readonly TraceKindRow[] = [
  { name: 'wake', fields: ['by'] },
  { name: 'task', fields: ['delayNs'] },
  { name: 'hypercall', fields: ['code', 'parameter'] },
  { name: 'message-posted', fields: ['connection', 'bytes'] },
  { name: 'message-taken', fields: ['partition', 'queue'] },
  { name: 'event-signalled', fields: ['connection', 'slot'] },
  { name: 'event-taken', fields: ['partition', 'slot'] },
  { name: 'message-queued', fields: ['partition', 'vp', 'sint'] },
  { name: 'event-raised', fields: ['partition', 'vp', 'flag'] },
  { name: 'interrupt', fields: ['vector'] },
  { name: 'packets-published', fields: ['channel', 'packets', 'bytes'] },
  { name: 'packets-taken', fields: ['channel', 'packets', 'bytes'] },
  { name: 'dispatch', fields: ['partition', 'vp', 'lp'] },
  { name: 'preempt', fields: ['partition', 'vp'] },
  { name: 'halt', fields: ['partition', 'vp'] },
  { name: 'timer', fields: ['timer', 'sint'] },
  { name: 'intercept', fields: ['type'] },
  { name: 'life', fields: ['partition', 'stage'] },
  { name: 'compute', fields: ['ns'] },
  { name: 'refused', fields: ['code', 'status'] },
  { name: 'stop', fields: ['partition', 'vp', 'lp'] },
  { name: 'remove', fields: ['partition', 'vp'] },
]

/** Stages of `TraceKind.LIFE`. */
export const LifeStage = { CREATED: 0, BOOTED: 1, ENDED: 2, HUNG: 3 } as const
export type LifeStage = (typeof LifeStage)[keyof typeof LifeStage]
