import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'

import {
  TRACE_KINDS,
  Trace,
  TraceFileError,
  TraceKind,
  TraceLink,
  describeRecord,
  printable,
  recordLine,
  traceKey,
} from '../src/index.ts'
import type { TraceEntry, TraceHeader, TraceRecord } from '../src/index.ts'
import { crc32 as ownCrc32 } from '../src/crc32.ts'
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
    const bytes = Buffer.from(chunks)
    expect(bytes.subarray(0, 16).toString('latin1')).toBe('guestyard-trace\u0002')
    expect(bytes.readUInt32LE(16)).toBe(crc32(bytes.subarray(20)))
    expect(bytes.readUInt32LE(20)).toBe(bytes.length - 24)
    const values = bytes.subarray(24).toString('hex')
    expect(values.slice(0, 2)).toBe('83')
    expect(values.slice(values.indexOf('9201a161'))).toBe(
      '9201a1619801cd012c0102005ccb4200000000000000ff9101',
    )
  })

  test('cut short anywhere is refused', async () => {
    const { bytes } = written(20)
    const path = join(folder, 'short.trace')
    for (let length = 0; length < bytes.length; length += 1) {
      writeFileSync(path, bytes.subarray(0, length))
      const error: unknown = await read(path).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(TraceFileError)
      expect((error as Error).message).toMatch(/^is (not a trace|cut short after record \d+)$/)
    }
  })

  test('with any one bit flipped is refused, and none of what is damaged was handed on', async () => {
    const { bytes } = written(8)
    const path = join(folder, 'flipped.trace')
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const copy = bytes.slice()
      copy[bit >> 3]! ^= 1 << (bit & 7)
      writeFileSync(path, copy)
      let entries = 0
      const look = async (): Promise<void> => {
        for await (const _ of readTraceFile(path)) entries += 1
      }
      await expect(look()).rejects.toThrow(TraceFileError)
      expect(entries).toBe(0)
    }
  })

  test('with a byte changed in a later chunk says after which record', async () => {
    const { bytes } = written(10_000)
    const path = join(folder, 'later.trace')
    bytes[bytes.length - 9]! ^= 0x10
    writeFileSync(path, bytes)
    await expect(read(path)).rejects.toThrow(/^is damaged after record [1-9]\d{3}$/)
  })

  test.each([
    ['an actor that is no count', [[1, 0, -1, 2, 0, 0, 0, 0]]],
    ['a kind that is no count', [[1, 0, 1, 9e307, 0, 0, 0, 0]]],
    ['a time before the beginning', [[1, -1, 1, 2, 0, 0, 0, 0]]],
    ['a cause before the beginning', [[1, 0, 1, 2, -1, 0, 0, 0]]],
    ['itself for a cause', [[1, 0, 1, 2, 1, 0, 0, 0]]],
    ['a number that is none', [[1, 0, 1, 2, 0, Number.NaN, 0, 0]]],
    ['a gap before it', [[2, 0, 1, 2, 0, 0, 0, 0]]],
    [
      'a time before the last one',
      [
        [1, 5, 1, 2, 0, 0, 0, 0],
        [2, 4, 1, 2, 0, 0, 0, 0],
      ],
    ],
  ])('made by hand, with a record that has %s, is refused', async (_, rows) => {
    const path = join(folder, 'made.trace')
    const file = createTraceFile(path, HEADER)
    for (const [id, ns, actor, kind, cause, a, b, c] of rows as [number, ...number[]][]) {
      file.sink.record(id, ns!, actor!, kind as TraceKind, cause!, a!, b!, c!)
    }
    file.close()
    await expect(read(path)).rejects.toThrow(TraceFileError)
  })

  test('of another version is refused by its number', async () => {
    const { bytes } = written(1)
    const path = join(folder, 'version.trace')
    bytes[15] = 9
    writeFileSync(path, bytes)
    await expect(read(path)).rejects.toThrow('is of version 9; this reads 2')
  })

  test('on a full disk is given up, and closing says why', () => {
    const file = createTraceFile('/dev/full', HEADER)
    for (let id = 1; id < 10_000; id += 1) file.sink.record(id, 0, 1, 2, 0, 0, 0, 0)
    expect(() => file.close()).toThrow('ENOSPC')
  })

  test('has the checksum that Node computes, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(8), (bytes, from) => {
        const start = Math.min(from, bytes.length)
        expect(ownCrc32(bytes, start, bytes.length)).toBe(crc32(bytes.subarray(start)))
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

  test('shows what an actor is called, and a terminal nothing else', () => {
    const record = { id: 1, timeNs: 0, actor: 3, kind: TraceKind.WAKE, cause: 0, a: 0, b: 0, c: 0 }
    const name = 'db\u001b[2J\n\u009b1m\u202e'
    const described = describeRecord(record, new Map([[3, name]]))
    expect(recordLine(described)).toContain(String.raw` db\u001b[2J\u000a\u009b1m\u202e `)
    expect(JSON.parse(printable(JSON.stringify(described)))).toEqual(described)
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
