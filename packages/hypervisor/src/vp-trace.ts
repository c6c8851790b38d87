// What hypercalls and interrupts record, out of the way of the paths that it is called from.

import { HvStatus } from '@guestyard/hvdef'
import { TraceKind, TraceLink, traceKey, type Trace } from '@guestyard/trace'

/** A hypercall was answered: what was refused is recorded, and the turn goes on as before it. */
export function traceAnswer(trace: Trace, before: number, code: number, status: number): void {
  if (status !== HvStatus.SUCCESS) trace.record(TraceKind.REFUSED, code, status)
  trace.cause = before
}

/** An interrupt is taken. One takes one message and all flags. */
export function traceInterrupt(trace: Trace, partition: number, vp: number, vector: number): void {
  const message = trace.takeNext(traceKey(TraceLink.MESSAGE_TO_VP, partition, vp, 0))
  const event = trace.takeUp(traceKey(TraceLink.EVENT_TO_VP, partition, vp, 0))
  if (message !== 0 || event !== 0) trace.cause = message === 0 ? event : message
  trace.begin(TraceKind.INTERRUPT, vector)
}

export function tracePost(
  trace: Trace,
  partition: number,
  queue: number,
  connection: number,
  size: number,
): void {
  const key = traceKey(TraceLink.MESSAGE_TO_ROOT, partition, 0, queue)
  trace.beginFor(key, TraceKind.MESSAGE_POSTED, connection, size)
}

export function traceSignal(
  trace: Trace,
  partition: number,
  slot: number,
  connection: number,
): void {
  const key = traceKey(TraceLink.EVENT_TO_ROOT, partition, 0, slot)
  trace.beginFor(key, TraceKind.EVENT_SIGNALLED, connection, slot)
}
