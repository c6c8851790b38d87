import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import {
  baselineRefusals,
  checkMeasured,
  checkThreshold,
  compareWithBaseline,
  createBaseline,
  loadSettings,
  parseThreshold,
  readBaseline,
  saveBaseline,
} from '../src/index.ts'
import type { ChannelReport, CheckResult, Environment, LoadOptions } from '../src/index.ts'
import { callSite, createExpect } from '../src/expect.ts'
import { createLatencyHistogram, summarize } from '../src/load/latency.ts'

const environment: Environment = {
  machine: {
    hostname: 'here',
    cpuModel: 'A processor',
    logicalProcessors: 2,
    memoryBytes: 2 ** 34,
    platform: 'linux',
    arch: 'x64',
    osRelease: '6.1',
  },
  node: 'v26.10.0',
  v8: '14.6',
  commit: null,
  modified: false,
}

function report(changes: Partial<ChannelReport> = {}): ChannelReport {
  const histogram = createLatencyHistogram()
  for (let sample = 1; sample <= 100; sample++) histogram.recordValue(sample * 10)
  return {
    settings: loadSettings({ name: 'L' }, 1),
    vms: ['a'],
    packetsPerSecond: 2e6,
    bytesPerSecond: 128e6,
    signalsPerPacket: 0.1,
    fullRingWaits: 3,
    processorsUsed: 1.9,
    spread: 0,
    sequenceErrors: 0,
    latency: summarize(histogram),
    repeats: [],
    ...changes,
  }
}

describe('thresholds', () => {
  const held = (text: string, of = report()): boolean =>
    checkThreshold(parseThreshold(text), of).passed

  test('a bound holds or does not, with the value in its own unit', () => {
    expect(held('packetsPerSecond>=2e6')).toBe(true)
    expect(held('packetsPerSecond > 2e6')).toBe(false)
    expect(held('bytesPerSecond>=100 MiB')).toBe(true)
    expect(held('p50<=500 ns')).toBe(true)
    expect(held('p99<0.5us')).toBe(false)
    expect(held('sequenceErrors<1')).toBe(true)
  })

  test('what was not measured does not pass', () => {
    expect(checkThreshold(parseThreshold('p50<1s'), report({ latency: null }))).toEqual({
      name: 'L: p50',
      passed: false,
      actual: 'not measured',
      bound: '< 1 s',
    })
  })

  test('a bound on latency is refused when no load measures it', () => {
    const check = (text: string, ...loads: LoadOptions[]): void =>
      checkMeasured(
        parseThreshold(text),
        loads.map((options) => loadSettings(options, 1)),
      )
    for (const metric of ['p50', 'p90', 'p99', 'p999', 'max']) {
      expect(() => check(`${metric}<1s`, {})).toThrow(`threshold: ${metric} is not measured by`)
      expect(() => check(`${metric}<1s`, {}, { direction: 'echo' })).not.toThrow()
      expect(() => check(`${metric}<1s`, { rate: 1000 })).not.toThrow()
    }
    expect(() => check('packetsPerSecond>1', {})).not.toThrow()
  })

  test('a bound that cannot be read is refused by what is wrong with it', () => {
    const cases = {
      'p50=5': "--threshold: 'p50=5' is not METRIC>=VALUE, such as packetsPerSecond>=1e6",
      'p75<5 us':
        "--threshold: unknown metric 'p75' (known: packetsPerSecond, bytesPerSecond, p50, p90, p99, p999, max, signalsPerPacket, fullRingWaits, processorsUsed, sequenceErrors)",
      'p50<5': "--threshold: '5' is not a duration such as '50 us'",
      'packetsPerSecond>5 MiB': "--threshold: '5 MiB' is not a number such as 1e6",
      'bytesPerSecond>x': "--threshold: 'x' is not a number of bytes or a size such as '500 MiB'",
    }
    for (const [text, line] of Object.entries(cases)) {
      expect(() => parseThreshold(text, '--threshold')).toThrow(line)
    }
  })
})

describe('baselines', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'guestyard-baseline-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const baseline = createBaseline(environment, [report()], new Date(0))
  const settings = [loadSettings({ name: 'another name' }, 1)]

  test('a saved baseline reads back whole', async () => {
    const path = join(folder, 'base.json')
    await saveBaseline(path, baseline)
    expect(await readBaseline(path, '--baseline')).toEqual(baseline)
  })

  test('the same machine, Node and settings are compared, whatever the load is called', () => {
    expect(baselineRefusals(baseline, environment, settings)).toEqual([])
  })

  test('every difference that makes figures incomparable is named', () => {
    const elsewhere: Environment = {
      ...environment,
      node: 'v24.1.0',
      machine: { ...environment.machine, hostname: 'there', logicalProcessors: 4 },
    }
    expect(baselineRefusals(baseline, elsewhere, [loadSettings({ batch: 1 }, 1)])).toEqual([
      'machine was here, is there',
      'logical processors was 2, is 4',
      'Node was v26.10.0, is v24.1.0',
      'batch of load 1 was 32, is 1',
    ])
    expect(baselineRefusals(baseline, environment, [])).toEqual(['number of loads was 1, is 0'])
  })

  test('figures within the tolerance hold, figures beyond it do not', () => {
    const slower = report({ packetsPerSecond: 1.85e6 })
    const passed = (tolerance: number): boolean[] =>
      compareWithBaseline(baseline, [slower], tolerance).map((check) => check.passed)
    expect(passed(0.1)).toEqual([true, true, true])
    expect(passed(0.05)).toEqual([false, true, true])
  })

  test('a file that is not a baseline is refused with the reason', async () => {
    const refusal = async (name: string, text: string): Promise<string> => {
      const path = join(folder, name)
      writeFileSync(path, text)
      const error = await readBaseline(path, '--baseline').then(
        () => 'taken',
        (reason: Error) => reason.message,
      )
      return error.replaceAll(folder, '')
    }
    expect(await refusal('a.json', '{')).toMatch(/^--baseline: \/a\.json is not JSON: /)
    expect(await refusal('b.json', '{"format":"other"}')).toBe(
      '--baseline: /b.json: not a baseline of guestyard (another "format")',
    )
    expect(await refusal('d.json', '{}')).toMatch(/ \(no "format"\)$/)
    expect(await refusal('e.json', '5')).toMatch(/ \(not an object\)$/)
    expect(await refusal('c.json', JSON.stringify({ ...baseline, entries: 5 }))).toMatch(/entries/)
    await expect(readBaseline(join(folder, 'none.json'), '--baseline')).rejects.toThrow('no file')
  })
})

describe('expect', () => {
  test('checks are collected with what was measured and what was asked, and never throw', () => {
    const results: CheckResult[] = []
    const check = createExpect(results, () => 'unnamed')
    check(5, 'rate').toBeGreaterThan(4)
    check(5).toBeAtLeast(6)
    check('text').toBeLessThan(1)
    check(5).toBeAtMost(5)
    check('off').toBe('running')
    check({ a: [1] }).toEqual({ a: [1] })
    check('a line').toContain('line')
    check([{ a: 1 }]).toContain({ a: 2 })
    expect(results).toEqual([
      { name: 'rate', passed: true, actual: '5', bound: '> 4' },
      { name: 'unnamed', passed: false, actual: '5', bound: '>= 6' },
      { name: 'unnamed', passed: false, actual: "'text'", bound: '< 1' },
      { name: 'unnamed', passed: true, actual: '5', bound: '<= 5' },
      { name: 'unnamed', passed: false, actual: "'off'", bound: "= 'running'" },
      { name: 'unnamed', passed: true, actual: '{"a":[1]}', bound: 'equals {"a":[1]}' },
      { name: 'unnamed', passed: true, actual: "'a line'", bound: "contains 'line'" },
      { name: 'unnamed', passed: false, actual: '[{"a":1}]', bound: 'contains {"a":2}' },
    ])
  })

  test('a check without a name is called by its line in the scenario file', () => {
    expect(callSite(import.meta.url, 0)).toMatch(/^judge\.test\.ts:\d+$/)
    expect(callSite('file:///elsewhere.ts', 2)).toBe('check 3')
    expect(callSite(undefined, 2)).toBe('check 3')
  })
})
