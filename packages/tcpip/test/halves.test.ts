// The parts of a connection, each held to a model that is too simple to be wrong.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteRing } from '../src/tcp/byte-ring.ts'
import { Congestion } from '../src/tcp/congestion.ts'
import { Gaps } from '../src/tcp/gaps.ts'
import { InitialSequence } from '../src/tcp/initial-sequence.ts'
import { RoundTrip } from '../src/tcp/round-trip.ts'
import { composeSegment, newSegment, parseSegment } from '../src/tcp/segment.ts'
import { pattern } from './two-stacks.ts'

test('pieces in any order join to what a set of offsets says', () => {
  const piece = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 12 }))
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const gaps = new Gaps()
      const has = new Set<number>()
      let base = 0
      for (const [from, bytes] of pieces) {
        const [begin, end] = [from - base, from + bytes - base]
        if (end <= 0) continue
        for (let at = Math.max(0, begin); at < end; at += 1) has.add(base + at)
        if (begin <= 0) base += gaps.join(end)
        else expect(gaps.add(begin, end)).toBe(true)
        let next = base
        while (has.has(next)) next += 1
        expect(next).toBe(base)
        expect(gaps.isEmpty).toBe([...has].every((at) => at < base))
      }
    }),
  )
})

test('the 33rd piece is not kept, and the 32 before it are', () => {
  const gaps = new Gaps()
  const added = Array.from({ length: 33 }, (_, n) => gaps.add(2 + 3 * n, 3 + 3 * n))
  expect(added).toEqual([...Array.from({ length: 32 }, () => true), false])
  expect(gaps.add(1, 3 * 32)).toBe(true)
  expect(gaps.join(1)).toBe(3 * 32)
})

test('a ring of bytes is a queue, and what is placed ahead is there when it grows', () => {
  const step = fc.record({ push: fc.nat(40), drop: fc.nat(40), ahead: fc.nat(20) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const ring = new ByteRing(64)
      let model: number[] = []
      let next = 0
      for (const { push, drop, ahead } of steps) {
        const bytes = pattern(push, next)
        const taken = ring.push(bytes)
        expect(taken).toBe(Math.min(push, 64 - model.length))
        model.push(...bytes.subarray(0, taken))
        next += taken
        const later = pattern(Math.min(ahead, ring.free), next)
        ring.place(0, later, 0, later.length)
        ring.grow(later.length)
        model.push(...later)
        next += later.length
        const out = new Uint8Array(model.length)
        ring.copyOut(0, out, 0, model.length)
        expect([...out]).toEqual(model)
        const gone = Math.min(drop, model.length)
        ring.drop(gone)
        model = model.slice(gone)
        expect([ring.size, ring.free]).toEqual([model.length, 64 - model.length])
      }
    }),
  )
})

describe('round trips', () => {
  test('give RFC 6298’s timeouts', () => {
    const trip = new RoundTrip()
    expect([trip.timeoutMs, trip.smoothedMs]).toEqual([1_000, null])
    trip.sample(100)
    expect(trip.timeoutMs).toBe(100 + 4 * 50)
    trip.sample(100)
    expect(trip.timeoutMs).toBe(100 + 4 * 37.5)
    for (let n = 0; n < 50; n += 1) trip.sample(100)
    expect(trip.timeoutMs).toBe(200)
    trip.backOff()
    trip.backOff()
    expect(trip.timeoutMs).toBe(800)
    for (let n = 0; n < 20; n += 1) trip.backOff()
    expect(trip.timeoutMs).toBe(60_000)
    trip.onProgress()
    expect(trip.timeoutMs).toBe(200)
  })
})

describe('a congestion window', () => {
  test('opens by what is acknowledged, then by a segment a window', () => {
    const congestion = new Congestion(1_000)
    expect(congestion.window).toBe(10_000)
    congestion.onAcknowledged(2_000)
    expect(congestion.window).toBe(12_000)
    congestion.onAcknowledged(9_000)
    expect(congestion.window).toBe(14_000)
    congestion.onTimeout(14_000, true)
    expect([congestion.window, congestion.threshold]).toEqual([1_000, 7_000])
    for (let n = 0; n < 6; n += 1) congestion.onAcknowledged(1_000)
    expect(congestion.window).toBe(7_000)
    congestion.onAcknowledged(6_999)
    expect(congestion.window).toBe(7_000)
    congestion.onAcknowledged(1)
    expect(congestion.window).toBe(8_000)
  })

  test('halves at a loss, and is half when all that was under way has arrived', () => {
    const congestion = new Congestion(1_000)
    congestion.onLoss(10_000)
    expect([congestion.threshold, congestion.window]).toEqual([5_000, 8_000])
    congestion.onDuplicate()
    congestion.onPartial(2_000)
    expect(congestion.window).toBe(8_000)
    congestion.onRecovered(20_000)
    expect(congestion.window).toBe(5_000)
  })

  test('of a second timeout in a row remembers the first one’s half', () => {
    const congestion = new Congestion(1_000)
    congestion.onTimeout(10_000, true)
    congestion.onTimeout(1_000, false)
    expect([congestion.threshold, congestion.window]).toEqual([5_000, 1_000])
  })
})

test('first numbers go with the clock, and tell nothing of other connections', () => {
  const initial = new InitialSequence(pattern(8))
  const at = (port: number, ms: number): number => initial.next(1, port, 2, 80, ms)
  expect((at(1_000, 1_000) - at(1_000, 0)) >>> 0).toBe(250_000)
  const apart = new Set(Array.from({ length: 1_000 }, (_, n) => at(n, 0)))
  expect(apart.size).toBeGreaterThan(995)
  const highBits = new Set([...apart].map((number) => number >>> 24))
  expect(highBits.size).toBeGreaterThan(200)
  expect(() => new InitialSequence(new Uint8Array(7))).toThrow(RangeError)
})

test('a segment is read as it was composed', () => {
  const out = fc.record({
    sourcePort: fc.nat(0xffff),
    targetPort: fc.nat(0xffff),
    sequence: fc.nat(0xffff_ffff),
    acknowledgement: fc.nat(0xffff_ffff),
    flags: fc.nat(0x3f),
    window: fc.nat(0xffff),
    segmentSize: fc.nat(0xffff),
    windowScale: fc.integer({ min: -1, max: 14 }),
    timestamp: fc.integer({ min: -1, max: 0xffff_ffff }),
    timestampEcho: fc.nat(0xffff_ffff),
  })
  fc.assert(
    fc.property(out, fc.nat(100), (outgoing, dataBytes) => {
      const frame = new Uint8Array(200)
      const headerBytes = composeSegment(outgoing, frame, 34)
      const segment = newSegment()
      expect(parseSegment(segment, frame, 34, 34 + headerBytes + dataBytes)).toBe(true)
      const { sourcePort, targetPort, sequence, acknowledgement, flags, window } = outgoing
      const same = { sourcePort, targetPort, sequence, acknowledgement, flags, window, dataBytes }
      expect(segment).toMatchObject(same)
      const isSyn = (flags & 2) !== 0
      expect(segment.segmentSize).toBe(isSyn ? outgoing.segmentSize : -1)
      expect(segment.windowScale).toBe(isSyn ? outgoing.windowScale : -1)
      expect(segment.hasTimestamps).toBe(outgoing.timestamp >= 0)
      if (!segment.hasTimestamps) return
      const { timestamp, timestampEcho } = outgoing
      expect(segment).toMatchObject({ timestamp, timestampEcho })
    }),
  )
})

test('options that run out of their header are no segment', () => {
  const frame = new Uint8Array(60)
  frame[12] = 0x60
  frame.set([8, 10, 0, 0], 20)
  expect(parseSegment(newSegment(), frame, 0, 24)).toBe(false)
  frame.set([2, 0, 0, 0], 20)
  expect(parseSegment(newSegment(), frame, 0, 24)).toBe(false)
  frame[12] = 0x40
  expect(parseSegment(newSegment(), frame, 0, 24)).toBe(false)
})
