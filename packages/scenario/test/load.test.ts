import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { checkLoadSpec } from '@guestyard/load-device/protocol'

import {
  createLoadGenerator,
  InputError,
  loadSettings,
  loadSpec,
  runLoads,
  sweepSettings,
} from '../src/index.ts'
import type { LoadOptions, LoadTarget } from '../src/index.ts'
import { orAborted } from '../src/load/load-generator.ts'
import { mergeGuests, summarizeRepeats } from '../src/load/channel-report.ts'
import {
  createLatencyHistogram,
  distributionOf,
  mergeLatency,
  summarize,
} from '../src/load/latency.ts'
import { checkRingsFit } from '../src/load/settings.ts'
import { median, medianRatio, spread } from '../src/load/statistics.ts'
import { fakeResult } from './fake-host.ts'

const clock = { cpuMs: () => 0, nowMs: () => 0 }

function target(name: string, log: string[]): LoadTarget {
  return {
    name,
    async runLoad(spec) {
      log.push(`${name} ${spec.payloadBytes}`)
      return fakeResult(spec)
    },
  }
}

describe('settings', () => {
  const refused: readonly (readonly [LoadOptions, string])[] = [
    [{ payload: 4 }, 'load.payload: must be a whole number from 8 to 65536, got 4'],
    [{ payload: '1 MiB' }, 'load.payload: must be a whole number from 8 to 65536, got 1048576'],
    [
      { payload: 'big' },
      "load.payload: 'big' is not a size: write a number and B, KiB, MiB, GiB or TiB, such as '64 MiB'",
    ],
    [{ batch: 0 }, 'load.batch: must be a whole number from 1 to 1024, got 0'],
    [{ channels: 17 }, 'load.channels: must be a whole number from 1 to 16, got 17'],
    [
      { window: 5000, direction: 'echo' },
      'load.window: must be a whole number from 1 to 4096, got 5000',
    ],
    [{ rate: 0 }, 'load.rate: must be a number above 0, got 0'],
    [
      { rate: 5, direction: 'both' },
      'load.rate: must be closed for direction both: the root sends without a rate',
    ],
    [
      { direction: 'sideways' as 'echo' },
      'load.direction: must be one of guest-to-root, root-to-guest, both, echo, got sideways',
    ],
    [
      { waiting: 'sleepy' as 'busy' },
      'load.waiting: must be one of busy, adaptive, block, event-loop, got sleepy',
    ],
    [{ duration: '0 s' }, 'load.duration: must be a number above 0, got 0'],
    [{ duration: '25 h' }, "load.duration: '25 h' is too long: at most 24 h"],
    [
      { duration: '1 s', packets: 5 },
      'load.packets: stands in place of load.duration; give one of them',
    ],
    [{ packets: 0 }, 'load.packets: must be a whole number of at least 1, got 0'],
    [{ repeats: 0 }, 'load.repeats: must be a whole number from 1 to 1000, got 0'],
    [
      { size: 64 } as LoadOptions,
      'load.size: unknown option (known: name, payload, batch, window, channels, direction, waiting, spin, ring, rate, duration, packets, warmUp, repeats)',
    ],
  ]
  for (const [options, line] of refused) {
    test(line, () => {
      expect(() => loadSettings(options, 1)).toThrow(new InputError(...split(line)))
    })
  }

  test('a ring that is no whole number of pages, or too small for its packets', () => {
    expect(() => loadSettings({ ring: 5000 }, 1)).toThrow(/^load\.ring: must be a multiple of 4096/)
    expect(() => loadSettings({ ring: 4096, payload: 4096 }, 1)).toThrow(/^load\.ring: /)
  })

  test('rings that one GPADL cannot describe are refused, the largest that it can are not', () => {
    expect(loadSettings({ ring: 4095 * 4096 }, 1).ringBytes).toBe(16_773_120)
    expect(() => loadSettings({ ring: '16 MiB' }, 1)).toThrow(
      'load.ring: must be at most 16773120 (4095 pages: one GPADL describes both rings of a channel), got 16777216',
    )
  })

  test('rings for which a guest has no room beside 1 MiB of its own are refused', () => {
    const settings = loadSettings({ ring: '1 MiB', channels: 2 }, 1)
    expect(() => checkRingsFit(settings, 5 * 2 ** 20)).not.toThrow()
    expect(() => checkRingsFit(settings, 5 * 2 ** 20 - 65_536)).toThrow(
      'load.ring: two rings for each of 2 channels of 1 MiB take 4 MiB; a guest of 4.94 MiB has 3.94 MiB for them',
    )
  })

  test('whatever is accepted is a spec that the guests accept', () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            payload: fc.integer({ min: 0, max: 70_000 }),
            batch: fc.integer({ min: 0, max: 1100 }),
            channels: fc.integer({ min: 0, max: 20 }),
            window: fc.integer({ min: 0, max: 5000 }),
            direction: fc.constantFrom('guest-to-root', 'root-to-guest', 'both', 'echo'),
            waiting: fc.constantFrom('busy', 'adaptive', 'block', 'event-loop'),
            rate: fc.double({ noNaN: true }),
            repeats: fc.integer({ min: 0, max: 5 }),
          },
          { requiredKeys: [] },
        ),
        fc.integer({ min: 1, max: 16 }),
        (options, guests) => {
          try {
            expect(
              checkLoadSpec(loadSpec(loadSettings(options as LoadOptions, guests))),
            ).toBeUndefined()
          } catch (error) {
            expect(error).toBeInstanceOf(InputError)
          }
        },
      ),
    )
  })

  test('an open loop is shared out so that all channels of all guests add up to the rate', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e9 }),
        fc.integer({ min: 1, max: 16 }),
        fc.integer({ min: 1, max: 16 }),
        (rate, guests, channels) => {
          const { loop } = loadSpec(loadSettings({ rate, channels }, guests))
          const each = loop.kind === 'open' ? loop.packetsPerSecond : Number.NaN
          expect(Math.abs(each * guests * channels - rate)).toBeLessThan(rate * 1e-12)
        },
      ),
    )
  })

  test('a sweep is one setting for each size, and needs one', () => {
    const sizes = sweepSettings({ payloads: [64, '4 KiB'], name: 'sweep' }, 2)
    expect(sizes.map((of) => [of.name, of.payloadBytes, of.guests])).toEqual([
      ['sweep 64 B', 64, 2],
      ['sweep 4 KiB', 4096, 2],
    ])
    expect(() => sweepSettings({ payloads: [] }, 1)).toThrow('load.payloads: expected a list')
  })
})

describe('statistics, against values worked out by hand', () => {
  test('medians of odd and even counts, and of nothing', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([])).toBeNaN()
  })

  test('the spread is the width over the median, and 0 for one value', () => {
    expect(spread([90, 100, 120])).toBeCloseTo(0.3, 12)
    expect(spread([7])).toBe(0)
  })

  test('a ratio of interleaved series is the median of its rounds, not the ratio of medians', () => {
    expect(medianRatio([10, 40, 90], [10, 10, 30])).toBe(3)
    expect(medianRatio([10, 5], [0, 10])).toBe(0.5)
  })

  test('a repeat sums its guests, and takes the time of the slowest', () => {
    const spec = loadSpec(loadSettings({ payload: 100 }, 2))
    const fast = { ...fakeResult(spec, 1), elapsedNs: 1e9 }
    const slow = {
      ...fakeResult(spec, 2),
      elapsedNs: 2e9,
      packetsMissing: -1,
      peerSequenceErrors: 4,
    }
    expect(mergeGuests([fast, slow], { wallMs: 1000, cpuMs: 1500 })).toEqual({
      packets: 3000,
      bytes: 300_000,
      elapsedNs: 2e9,
      packetsPerSecond: 1500,
      bytesPerSecond: 150_000,
      signals: 30,
      signalsPerPacket: 0.01,
      fullRingWaits: 6,
      wakes: 14,
      sequenceErrors: 5,
      processorsUsed: 1.5,
      guestCpuSeconds: 0.002,
      heapBytesPerPacket: 0.5,
      p50Ns: null,
    })
  })

  test('a report has the medians of the repeats and the sum of their errors', () => {
    const settings = loadSettings({}, 1)
    const base = mergeGuests([fakeResult(loadSpec(settings))], { wallMs: 0, cpuMs: 0 })
    const repeats = [300, 100, 200].map((packetsPerSecond, index) => ({
      ...base,
      packetsPerSecond,
      sequenceErrors: index,
    }))
    expect(summarizeRepeats(settings, ['a'], repeats, [])).toMatchObject({
      packetsPerSecond: 200,
      spread: 1,
      sequenceErrors: 3,
      latency: null,
    })
  })
})

describe('latency', () => {
  test('percentiles are read from all samples together, not averaged over guests', () => {
    const quick = createLatencyHistogram()
    const slow = createLatencyHistogram()
    for (let sample = 0; sample < 990; sample++) quick.recordValue(100)
    for (let sample = 0; sample < 10; sample++) slow.recordValue(1000)
    const merged = mergeLatency([summarize(quick).histogram, summarize(slow).histogram, ''])
    expect(merged).toMatchObject({ count: 1000, p50Ns: 100, p99Ns: 100, p999Ns: 1000, maxNs: 1000 })
    expect(merged?.meanNs).toBe(109)
  })

  test('no sample at all is no latency', () => {
    expect(mergeLatency([])).toBeUndefined()
    expect(mergeLatency([''])).toBeUndefined()
  })

  test('the curve climbs and the shares of the distribution add up to one', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1e9 }), { minLength: 1 }), (samples) => {
        const histogram = createLatencyHistogram()
        for (const sample of samples) histogram.recordValue(sample)
        const { curve, histogram: encoded, maxNs } = summarize(histogram)
        expect(curve.map((point) => point.ns)).toEqual(
          curve.map((p) => p.ns).toSorted((a, b) => a - b),
        )
        expect(curve.at(-1)).toEqual({ quantile: 1, ns: maxNs })
        const shares = distributionOf(encoded).map((bin) => bin.share)
        expect(shares.reduce((total, share) => total + share, 0)).toBeCloseTo(1, 6)
        expect(Math.min(...shares)).toBeGreaterThanOrEqual(-1e-6)
      }),
      { numRuns: 15 },
    )
  })
})

describe('the load generator', () => {
  test('repeats of different sizes take turns, on all guests at once', async () => {
    const log: string[] = []
    const settings = sweepSettings({ payloads: [64, 256], repeats: 2 }, 2)
    const reports = await runLoads([target('a', log), target('b', log)], settings, clock)
    expect(log).toEqual(['a 64', 'b 64', 'a 256', 'b 256', 'a 64', 'b 64', 'a 256', 'b 256'])
    expect(reports.map((of) => [of.settings.payloadBytes, of.vms, of.repeats.length])).toEqual([
      [64, ['a', 'b'], 2],
      [256, ['a', 'b'], 2],
    ])
  })

  test('two loads asked for at once run one after the other, even when the first one fails', async () => {
    const log: string[] = []
    const load = createLoadGenerator(clock)
    const failing: LoadTarget = {
      name: 'f',
      runLoad: () => Promise.reject(new Error('its channel closed')),
    }
    const first = load.channel(failing, { repeats: 1 })
    const second = load.channel(target('a', log), { repeats: 1 })
    await expect(first).rejects.toThrow('its channel closed')
    expect((await second).vms).toEqual(['a'])
  })

  test('an interrupted load ends though its guests never answer', async () => {
    const abort = new AbortController()
    const hanging: LoadTarget = { name: 'h', runLoad: () => new Promise(() => undefined) }
    const load = createLoadGenerator({ ...clock, signal: abort.signal })
    const running = load.channel(hanging)
    abort.abort(new Error('interrupted'))
    await expect(running).rejects.toThrow('interrupted')
  })

  test('an interruption that came first is the one that counts, and what fails later is still heard', async () => {
    const late = Promise.withResolvers<never>()
    const gone = AbortSignal.abort(new Error('interrupted'))
    const ended = orAborted(late.promise, gone)
    late.reject(new Error('too late to matter'))
    await expect(ended).rejects.toThrow('interrupted')
  })

  test('a guest that never answers fails its load, some time after the planned end', async () => {
    const hanging: LoadTarget = { name: 'h', runLoad: () => new Promise(() => undefined) }
    const load = createLoadGenerator({ ...clock, answerWithinMs: 5 })
    const options = { duration: '5 ms', warmUp: '0 ms' }
    await expect(load.channel(hanging, options)).rejects.toThrow(
      'guest-to-root 64 B, batch 32, adaptive: no answer from h 5 ms after the planned end',
    )
  })

  test('a wrong option is refused before any guest is asked', async () => {
    const log: string[] = []
    const load = createLoadGenerator(clock)
    await expect(load.channel(target('a', log), { batch: 0 })).rejects.toThrow('load.batch')
    expect(log).toEqual([])
  })
})

function split(line: string): [string, string] {
  const colon = line.indexOf(': ')
  return [line.slice(0, colon), line.slice(colon + 2)]
}
