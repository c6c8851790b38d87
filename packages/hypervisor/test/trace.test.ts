// What a partition's life leaves in a trace: each event once, with the record that led to it.

import {
  HvInterceptAccess,
  HvInterceptType,
  HvMessageType,
  HvStatus,
  STIMER_ENABLE,
  STIMER_SINT_SHIFT,
  SyntheticMsr,
  HVCALL_SIGNAL_EVENT,
} from '@guestyard/hvdef'
import { Trace, TRACE_KINDS } from '@guestyard/trace'
import { expect, test } from 'vitest'

import { Guest, Mailbox, SINT, Signals, VECTOR } from './guest.ts'

interface Line {
  readonly id: number
  readonly kind: string
  readonly cause: number
  readonly a: number
  readonly b: number
}

/** A guest with its SynIC on, and what it and its root record from here on. */
function traced(): { guest: Guest; trace: Trace; lines: Line[] } {
  const lines: Line[] = []
  const trace = new Trace(
    {
      record: (id, _time, _actor, kind, cause, a, b) =>
        void lines.push({ id, kind: TRACE_KINDS[kind]!.name, cause, a, b }),
      actor: () => {},
    },
    () => 0,
  )
  const guest = new Guest({ vp: () => ({ trace }) }).boot()
  guest.partition.trace = trace
  lines.length = 0
  return { guest, trace, lines }
}

/** The record of a kind, and the kinds that led to it, the nearest first. */
function way(lines: readonly Line[], kind: string): string[] {
  const found: string[] = []
  let line = lines.findLast((one) => one.kind === kind)
  while (line !== undefined) {
    found.push(line.kind)
    const { cause } = line
    line = lines.find((one) => one.id === cause)
  }
  return found
}

test('a signal is caused by its hypercall, and what the root takes by the signal, however often it was raised', () => {
  const { guest, trace, lines } = traced()
  const { connection } = guest.eventPort(0x2001, 1, new Signals())
  guest.signal(connection)
  guest.signal(connection)
  trace.cause = 0
  guest.hypervisor.poll(10)
  expect(lines.map((line) => line.kind)).toEqual([
    'hypercall',
    'event-signalled',
    'hypercall',
    'event-signalled',
    'event-taken',
  ])
  expect(lines[0]).toMatchObject({ a: HVCALL_SIGNAL_EVENT, b: connection, cause: 0 })
  expect(lines[4]!.cause).toBe(lines[1]!.id)
})

test('a message is caused by its hypercall, and taking it by the message', () => {
  const { guest, trace, lines } = traced()
  const { connection } = guest.messagePort(1, new Mailbox())
  guest.post(connection, 1, new Uint8Array(24))
  trace.cause = 0
  guest.hypervisor.poll(10)
  expect(way(lines, 'message-taken')).toEqual(['message-taken', 'message-posted', 'hypercall'])
})

test('an interrupt is caused by the flag or the message that the root left for the VP', () => {
  const { guest, trace, lines } = traced()
  guest.partition.signalEventToVp(0, SINT, 7)
  trace.cause = 0
  expect(guest.takeInterrupt()).toBe(VECTOR)
  expect(way(lines, 'interrupt')).toEqual(['interrupt', 'event-raised'])
  trace.cause = 0
  guest.partition.postMessageToVp(0, SINT, 1, new Uint8Array(8), 8, 1)
  trace.cause = 0
  expect(guest.takeInterrupt()).toBe(VECTOR)
  expect(way(lines, 'interrupt')).toEqual(['interrupt', 'message-queued'])
})

test('a call that is refused says so, and leaves no cause behind', () => {
  const { guest, trace, lines } = traced()
  expect(guest.signal(0x77)).toBe(HvStatus.INVALID_CONNECTION_ID)
  expect(lines.map((line) => line.kind)).toEqual(['hypercall', 'refused'])
  expect(lines[1]).toMatchObject({ b: HvStatus.INVALID_CONNECTION_ID, cause: lines[0]!.id })
  expect(trace.cause).toBe(0)
})

test('a timer that expires is a record, and the interrupt follows from it', () => {
  const { guest, lines } = traced()
  const { vp, clock } = guest
  vp.writeMsr(SyntheticMsr.STIMER0_COUNT, clock.now100ns + 1_000, 0)
  vp.writeMsr(SyntheticMsr.STIMER0_CONFIG, (SINT << STIMER_SINT_SHIFT) | STIMER_ENABLE, 0)
  clock.now100ns += 5_000
  expect(guest.takeInterrupt()).toBe(VECTOR)
  expect(way(lines, 'interrupt')).toEqual(['interrupt', 'timer'])
})

test('an intercept is a record with the type of its message', () => {
  const { guest, lines } = traced()
  guest.partition.installIntercept(HvInterceptType.IO_PORT, HvInterceptAccess.READ, 0x60)
  expect(guest.vp.intercepts.beginPortIn(0x60, 1)).toBe('suspended')
  expect(lines.map(({ kind, a }) => [kind, a])).toEqual([
    ['intercept', HvMessageType.X64_IO_PORT_INTERCEPT],
  ])
})

test('without a trace nothing is recorded, and everything is as with one', () => {
  const { guest, lines } = traced()
  const plain = new Guest().boot()
  const { connection } = plain.eventPort(0x2001, 1, new Signals())
  expect(plain.signal(connection)).toBe(HvStatus.SUCCESS)
  expect(plain.hypervisor.poll(10)).toBe(1)
  expect(lines).toEqual([])
  expect(guest.vp.hypercallCount).toBe(plain.vp.hypercallCount - 1)
})
