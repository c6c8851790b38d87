// What a guest may answer with, and what that may cost the one who asked.

import { deflateSync } from 'node:zlib'

import fc from 'fast-check'
import { decodeFromCompressedBase64 } from 'hdr-histogram-js'
import { describe, expect, test } from 'vitest'

import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'
import type { VmExit } from '@guestyard/management'

import { createLoadGenerator } from '../src/index.ts'
import { LATENCY_TEXT_MAX, readLatency } from '../src/load/latency-encoding.ts'
import { createLatencyHistogram, mergeLatency, summarize } from '../src/load/latency.ts'
import { describeExit } from '../src/vm-handle.ts'
import { fakeResult } from './fake-host.ts'

const COOKIE = 0x1c849313
const COMPRESSED_COOKIE = 0x1c849314

interface Shape {
  readonly words?: readonly number[]
  readonly lengthBytes?: number
  readonly digits?: number
  readonly lowest?: bigint
  readonly highest?: bigint
}

function encoded({ words = [2], digits = 3, lowest = 1n, highest = 60n, ...rest }: Shape): string {
  const header = Buffer.alloc(40)
  header.writeUInt32BE(COOKIE, 0)
  header.writeUInt32BE(rest.lengthBytes ?? words.length, 4)
  header.writeUInt32BE(digits, 12)
  header.writeBigUInt64BE(lowest, 16)
  header.writeBigUInt64BE(highest, 24)
  return compressed(Buffer.concat([header, Buffer.from(words)]))
}

function compressed(content: Uint8Array): string {
  const stream = deflateSync(content)
  const header = Buffer.alloc(8)
  header.writeUInt32BE(COMPRESSED_COOKIE, 0)
  header.writeUInt32BE(stream.length, 4)
  return Buffer.concat([header, stream]).toString('base64')
}

describe('a latency histogram from a guest', () => {
  const full = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
  const refused: readonly (readonly [string, string, string])[] = [
    ['longer than any histogram', 'A'.repeat(LATENCY_TEXT_MAX + 4), 'characters long, at most'],
    ['small, but of a gigabyte', compressed(Buffer.alloc(2 ** 24)), 'not a compressed histogram'],
    ['not base64', '*!*!', 'not base64'],
    ['of nothing', 'AAAA', 'not a compressed histogram'],
    ['of another encoding', compressed(Buffer.alloc(40)), 'not in the V2 encoding'],
    ['of five digits', encoded({ digits: 5 }), 'of another configuration'],
    ['of thirty digits', encoded({ digits: 30 }), 'of another configuration'],
    ['with a lowest value of 0', encoded({ lowest: 0n }), 'of another configuration'],
    ['of years', encoded({ highest: 1n << 52n }), 'of another configuration'],
    ['that claims more words', encoded({ lengthBytes: 2 ** 31 }), 'cut short'],
    ['that ends within a word', encoded({ words: [0x80] }), 'cut short'],
    // -(2^27): so many empty buckets in five bytes.
    ['of endless gaps', encoded({ words: [0xff, 0xff, 0xff, 0xff, 0x0f] }), 'more buckets'],
    ['of endless counts', encoded({ words: full }), 'a count is too large'],
  ]
  for (const [what, text, problem] of refused) {
    test(`${what} is refused on one line`, () => {
      const read = readLatency(text)
      expect(read).toMatchObject({ ok: false, problem: expect.stringContaining(problem) })
      expect(() => mergeLatency([text])).toThrow(/^a latency histogram cannot be read: [^\n]+$/)
    })
  }

  test('whatever the text, reading it never throws and gives no more samples than can be counted', () => {
    const anyWords = fc.uint8Array({ maxLength: 64 }).map((words) => encoded({ words: [...words] }))
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String(), anyWords), (text) => {
        const read = readLatency(text)
        if (!read.ok) return
        const total = read.buckets.reduce((sum, bucket) => sum + bucket.count, 0)
        expect(total).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER)
      }),
      { numRuns: 500 },
    )
  })

  test('an honest one is read as the library reads it', () => {
    const samples = fc.array(fc.integer({ min: 0, max: 6e10 }), { minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(samples, (values) => {
        const honest = createLatencyHistogram()
        for (const value of values) honest.recordValue(value)
        const { histogram: text } = summarize(honest)
        const library = decodeFromCompressedBase64(text, 32, false)
        const merged = mergeLatency([text])
        expect(merged?.count).toBe(library.totalCount)
        expect(merged?.maxNs).toBe(library.maxValue)
        for (const [key, percentile] of [
          ['p50Ns', 50],
          ['p90Ns', 90],
          ['p99Ns', 99],
        ] as const) {
          expect(merged?.[key]).toBe(
            Math.min(library.getValueAtPercentile(percentile), library.maxValue),
          )
        }
      }),
      { numRuns: 40 },
    )
  })

  test('the largest histogram that a guest can record fits the bound', () => {
    const honest = createLatencyHistogram()
    let random = 1
    for (let ns = 1; ns < 6e10; ns = Math.ceil(ns * 1.0004)) {
      random = (random * 48_271) % 0x7fff_ffff
      honest.recordValueWithCount(ns, random * 2)
    }
    expect(mergeLatency([summarize(honest).histogram])?.count).toBe(honest.totalCount)
  })
})

test('histograms that cannot be counted together are refused on one line', () => {
  const most = createLatencyHistogram()
  most.recordValueWithCount(5, 2 ** 52 - 1)
  const { histogram } = summarize(most)
  expect(mergeLatency([histogram])?.count).toBe(2 ** 52 - 1)
  expect(() => mergeLatency([histogram, histogram, histogram])).toThrow(
    'latency histograms hold more samples than can be counted',
  )
})

describe('the figures from a guest', () => {
  async function answerWith(change: (result: LoadResult) => unknown): Promise<unknown> {
    const load = createLoadGenerator({ cpuMs: () => 0, nowMs: () => 0 })
    const hostile = {
      name: 'mallory',
      runLoad: async (spec: LoadSpec) => change(fakeResult(spec)) as LoadResult,
    }
    return load.channel(hostile, { direction: 'echo', repeats: 1 })
  }

  const refused: readonly (readonly [string, (result: LoadResult) => unknown])[] = [
    ['expected an object', () => null],
    ['expected an object', () => 'done'],
    ['packets: expected a number of at least 0, got NaN', (r) => ({ ...r, packets: Number.NaN })],
    ["bytes: expected a number of at least 0, got '64'", (r) => ({ ...r, bytes: '64' })],
    ['elapsedNs: expected a number of at least 0, got -1', (r) => ({ ...r, elapsedNs: -1 })],
    ['wakes: expected a number of at least 0, got Infinity', (r) => ({ ...r, wakes: Infinity })],
    ['signalsSent: expected a number of at least 0, got 5n', (r) => ({ ...r, signalsSent: 5n })],
    ['packetsMissing: expected a number, got a list', (r) => ({ ...r, packetsMissing: [] })],
    [
      'heapBytesPerPacket: is missing',
      (r) => {
        const { heapBytesPerPacket: _left, ...others } = r
        return others
      },
    ],
    ['guestCpu: expected an object or null', (r) => ({ ...r, guestCpu: 7 })],
    ['latency: expected an object or null', (r) => ({ ...r, latency: 'fast' })],
    [
      'latency.histogram: expected text, got an object',
      (r) => ({ ...r, latency: { histogram: {} } }),
    ],
    ['latency.histogram: not base64', (r) => ({ ...r, latency: { histogram: 'x' } })],
    [
      `latency.histogram: longer than ${LATENCY_TEXT_MAX} characters`,
      (r) => ({ ...r, latency: { histogram: 'A'.repeat(2_000_000) } }),
    ],
  ]
  for (const [problem, change] of refused) {
    test(`${problem}: its load fails by its name, on one line`, async () => {
      const failure = await answerWith(change).catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(Error)
      const { message } = failure as Error
      expect(message.startsWith(`the result of mallory makes no sense: ${problem}`)).toBe(true)
      expect(message).not.toContain('\n')
    })
  }

  test('whatever passes makes a report of finite figures', async () => {
    const report = await answerWith((r) => ({
      ...r,
      packets: Number.MAX_SAFE_INTEGER,
      elapsedNs: Number.MIN_VALUE,
    }))
    expect(report).toMatchObject({ packetsPerSecond: 0, bytesPerSecond: 0 })
  })
})

describe('the end of a guest', () => {
  const ends: readonly (readonly [unknown, string])[] = [
    ['at the first line\nat the second', 'threw: at the first line'],
    ['', 'threw'],
    [undefined, 'threw: undefined'],
    [{ a: 1 }, 'threw: an object'],
    [Symbol('no text'), 'threw: Symbol(no text)'],
    [Object.create(null), 'threw: an object'],
    ['x'.repeat(1000), `threw: ${'x'.repeat(200)}…`],
  ]
  for (const [detail, line] of ends) {
    test(`is one short line whatever the guest said: ${line.slice(0, 40)}`, () => {
      expect(describeExit({ reason: 'threw', detail } as VmExit)).toBe(line)
    })
  }
})
