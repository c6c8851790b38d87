import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'

import {
  TRACE_KINDS,
  Trace,
  TraceFileError,
  TraceKind,
  TraceLink,
  describeRecord,
  recordLine,
  traceKey,
} from '../src/index.ts'
import type { TraceEntry, TraceHeader, TraceRecord } from '../src/index.ts'
import { createTraceFile, readTraceFile } from '../src/node/index.ts'
import { TraceEncoder } from '../src/trace-encoder.ts'

const HEADER: TraceHeader = { scenario: 'a test', engine: 'virtual', seed: 7 }
const folder = mkdtempSync(join(tmpdir(), 'guestyard-trace-'))

afterAll(() => rmSync(folder, { recursive: true }))

async function read(path: string): Promise<TraceEntry[]> {
  const entries: TraceEntry[] = []
  for await (const entry of readTraceFile(path)) entries.push(entry)
  return entries
}

async function records(path: string): Promise<TraceRecord[]> {
  return (await read(path)).flatMap((entry) => (entry.is === 'record' ? [entry.record] : []))
}

/** A file of so many records, and its bytes. */
function written(count: number, name = 'some.trace'): { path: string; bytes: Uint8Array } {
  const path = join(folder, name)
  const file = createTraceFile(path, HEADER)
  let nowNs = 0
  const trace = new Trace(file.sink, () => nowNs)
  trace.nameActor(1, 'root')
  trace.actor = 1
  for (let i = 0; i < count; i += 1) {
    nowNs += 1_000_003
    trace.begin(TraceKind.HYPERCALL, i % 0x1_0000, i * 31)
  }
  file.close()
  return { path, bytes: readFileSync(path) }
}

/** Keeps what is recorded. */
function kept(): { trace: Trace; records: TraceRecord[] } {
  const all: TraceRecord[] = []
  const trace = new Trace(
    {
      record: (id, timeNs, actor, kind, cause, a, b, c) =>
        void all.push({ id, timeNs, actor, kind, cause, a, b, c }),
      actor: () => {},
    },
    () => 0,
  )
  return { trace, records: all }
}

describe('causes', () => {
  test('what follows from a record within a turn names it, until the turn goes on', () => {
    const { trace, records: all } = kept()
    const before = trace.begin(TraceKind.HYPERCALL, 0x5d)
    trace.record(TraceKind.EVENT_SIGNALLED, 1)
    trace.cause = before
    trace.record(TraceKind.COMPUTE, 5)
    expect(all.map(({ id, cause }) => [id, cause])).toEqual([
      [1, 0],
      [2, 1],
      [3, 0],
    ])
  })

  test('a flag raised twice before it is taken was caused by the first raise, and by the next one after', () => {
    const { trace, records: all } = kept()
    const key = traceKey(TraceLink.EVENT_TO_ROOT, 2, 0, 9)
    trace.leave(key, trace.record(TraceKind.EVENT_SIGNALLED, 1))
    trace.leave(key, trace.record(TraceKind.EVENT_SIGNALLED, 1))
    trace.beginWith(key, TraceKind.EVENT_TAKEN, 2)
    trace.leave(key, trace.record(TraceKind.EVENT_SIGNALLED, 1))
    trace.beginWith(key, TraceKind.EVENT_TAKEN, 2)
    expect(all.map(({ cause }) => cause)).toEqual([0, 0, 1, 3, 4])
  })

  test('messages are taken in their order, each with its own cause, and nothing is no cause', () => {
    const { trace } = kept()
    const key = traceKey(TraceLink.MESSAGE_TO_VP, 2, 0, 0)
    trace.queue(key, 4)
    trace.queue(key, 6)
    expect([trace.takeNext(key), trace.takeNext(key), trace.takeNext(key)]).toEqual([4, 6, 0])
  })

  test('no two places have one key', () => {
    const place = fc.tuple(fc.nat(5), fc.nat(1e6), fc.nat(63), fc.nat(65_535))
    fc.assert(
      fc.property(place, place, (a, b) => {
        const [one, other] = [a, b].map(([link, partition, vp, at]) =>
          traceKey(link as TraceLink, partition, vp, at),
        )
        expect(one === other).toBe(JSON.stringify(a) === JSON.stringify(b))
        expect(Number.isSafeInteger(one)).toBe(true)
      }),
    )
  })
})

describe('a file', () => {
  test('gives back what was written, whatever the numbers', async () => {
    const whole = fc.integer({ min: -(2 ** 31), max: 2 ** 52 })
    const row = fc.tuple(fc.nat(30), whole, whole, whole)
    const path = join(folder, 'any.trace')
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 50 }), async (rows) => {
        const file = createTraceFile(path, HEADER)
        const trace = new Trace(file.sink, () => 2 ** 40)
        for (const [kind, a, b, c] of rows) trace.begin(kind as TraceKind, a, b, c)
        file.close()
        expect((await records(path)).map(({ kind, a, b, c }) => [kind, a, b, c])).toEqual(rows)
      }),
      { numRuns: 50 },
    )
  })

  test('begins with what it is of, and ends with how many records it has', async () => {
    const entries = await read(written(3).path)
    expect(entries[0]).toEqual({ is: 'header', header: HEADER })
    expect(entries[1]).toEqual({ is: 'actor', actor: 1, name: 'root' })
    expect(entries.at(-1)).toEqual({ is: 'end', records: 3 })
  })

  test('longer than any chunk is read whole, and written twice is the same bytes', async () => {
    const { path, bytes } = written(50_000)
    expect(bytes.length).toBeGreaterThan(4 * 64 * 1024)
    expect(written(50_000, 'again.trace').bytes).toEqual(bytes)
    expect((await records(path)).length).toBe(50_000)
  })

  test('has these bytes', () => {
    const chunks: number[] = []
    const sink = new TraceEncoder(HEADER, (chunk) => void chunks.push(...chunk))
    sink.actor(1, 'a')
    sink.record(1, 300, 1, TraceKind.HYPERCALL, 0, 0x5c, 2 ** 33, -1)
    sink.end()
    const hex = Buffer.from(chunks).toString('hex')
    expect(hex.slice(0, 2)).toBe('85')
    expect(hex.slice(hex.indexOf('9201a161'))).toBe(
      '9201a1619801cd012c0102005ccb4200000000000000ff9101',
    )
  })

  test('cut short anywhere is refused, with the last record that is whole', async () => {
    const { bytes } = written(20)
    const path = join(folder, 'short.trace')
    for (let length = 0; length < bytes.length; length += 1) {
      writeFileSync(path, bytes.subarray(0, length))
      const error: unknown = await read(path).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(TraceFileError)
      expect((error as Error).message).toMatch(/^is (not a trace|cut short after record \d+)$/)
    }
  })

  test('with any byte changed is read or refused, and nothing else is thrown', async () => {
    const { bytes } = written(20)
    const path = join(folder, 'damaged.trace')
    const position = fc.nat(bytes.length - 1)
    await fc.assert(
      fc.asyncProperty(position, fc.nat(255), async (at, value) => {
        const copy = bytes.slice()
        copy[at] = value
        writeFileSync(path, copy)
        const error: unknown = await read(path).catch((thrown: unknown) => thrown)
        expect(Array.isArray(error) || error instanceof TraceFileError).toBe(true)
      }),
    )
  })

  test.each([
    ['of another kind', new TextEncoder().encode('{"a": 1}'), 'is not a trace'],
    ['of nothing', new Uint8Array(0), 'is not a trace'],
  ])('%s is refused', async (_, bytes, problem) => {
    const path = join(folder, 'other')
    writeFileSync(path, bytes)
    await expect(read(path)).rejects.toThrow(problem)
  })

  test('that goes on after its end is refused', async () => {
    const { bytes } = written(2)
    const path = join(folder, 'long.trace')
    writeFileSync(path, Buffer.concat([bytes, bytes]))
    await expect(read(path)).rejects.toThrow('goes on after its end (record 2)')
  })
})

describe('a line', () => {
  test('names actor, kind and fields, and what led to it', () => {
    const record = { id: 12, timeNs: 1_234_567, actor: 3, kind: TraceKind.INTERRUPT, cause: 9 }
    const line = recordLine(
      describeRecord({ ...record, a: 0xf3, b: 0, c: 0 }, new Map([[3, 'db']])),
    )
    expect(line.trim()).toBe(
      '12       1234.567 µs  db           interrupt          vector=0xf3  ← 9',
    )
  })

  test('of a kind from a later version keeps its numbers', () => {
    const record = { id: 1, timeNs: 0, actor: 3, kind: 999, cause: 0, a: 1, b: 2, c: 3 }
    expect(describeRecord(record, new Map())).toMatchObject({
      actor: '#3',
      kind: 'kind-999',
      fields: { a: 1, b: 2, c: 3 },
    })
  })

  test('every kind has a row, and its number is its row', () => {
    expect(Object.values(TraceKind)).toEqual(TRACE_KINDS.map((_, index) => index))
  })
})
