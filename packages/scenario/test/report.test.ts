import { describe, expect, test } from 'vitest'

import {
  createProgress,
  defineScenario,
  htmlReport,
  planScenario,
  runScenario,
  textReport,
} from '../src/index.ts'
import type { RunReport, VmReport } from '../src/index.ts'
import { html } from '../src/report/markup.ts'
import { alignTable } from '../src/report/table.ts'
import { fakeWorld } from './fake-host.ts'

async function fullReport(): Promise<RunReport> {
  const plan = planScenario(
    defineScenario({
      name: 'a <full> run',
      vms: { db: { memory: '64 MiB' } },
      async run({ vms, load, log, expect: check }) {
        await vms.all.started()
        log('up & running')
        const [small] = await load.sweep(vms.db, { payloads: [64, '4 KiB', '64 KiB'], repeats: 2 })
        await load.channel(vms.db, { direction: 'echo', repeats: 1 })
        check(small?.packetsPerSecond, 'rate "small"').toBeGreaterThan(1e12)
      },
    }),
  )
  return runScenario(plan, { startHost: fakeWorld().startHost })
}

describe('the page', () => {
  test('refers to nothing outside itself and runs nothing', async () => {
    const page = htmlReport(await fullReport())
    expect(page).not.toMatch(/https?:|\/\/[a-z]|src=|href=|@import|url\(|<script|<link|<iframe/i)
  })

  test('has a chart for throughput, bytes, percentiles and distribution, and escapes what it shows', async () => {
    const page = htmlReport(await fullReport())
    expect(page.match(/<svg /g)).toHaveLength(4)
    expect(page).toContain('<title>a &lt;full&gt; run: failed</title>')
    expect(page).toContain('rate &quot;small&quot;')
    expect(page).toContain('up &amp; running')
    expect(page).not.toMatch(/NaN|undefined|Infinity/)
  })

  test('of a run without loads has no chart and is still whole', async () => {
    const report = await fullReport()
    const page = htmlReport({ ...report, loads: [], checks: [], log: [] })
    expect(page).not.toContain('<svg')
    expect(page).toMatch(/<\/html>\s*$/)
  })

  test('keeps markup as markup and text as text', () => {
    expect(html`<b>${'<'}${html`<i>${1}</i>`}${['a&b', null]}</b>`.markup).toBe(
      '<b>&lt;<i>1</i>a&amp;b</b>',
    )
  })
})

describe('the text', () => {
  test('names what failed, with what was measured and what was asked', async () => {
    const text = textReport(await fullReport())
    expect(text).toContain('✗ rate "small": ')
    expect(text).toMatch(/a <full> run: failed in .+: 1 of 1 checks failed\n$/)
  })

  test('names the column of (largest − smallest) / median for what it is', async () => {
    expect(textReport(await fullReport())).toMatch(/ bytes\/s +spread +p50 /)
  })

  test('tells an earlier end of a machine that runs again from its last', async () => {
    const report = await fullReport()
    const [vm] = report.vms
    const exit = { reason: 'stopped', detail: 'by the root' } as const
    const endOf = (state: VmReport['state']): string =>
      textReport({ ...report, vms: vm === undefined ? [] : [{ ...vm, state, exit }] })
    expect(endOf('running')).toContain('running (earlier: stopped: by the root)\n')
    expect(endOf('off')).toContain('off, stopped: by the root\n')
  })

  test('aligns figures to the right, by characters and not by code units', () => {
    expect(
      alignTable(
        ['name', 'n'],
        [
          ['a', '1 µs'],
          ['long 😀', '22'],
        ],
      ),
    ).toEqual(['name       n', '──────  ────', 'a       1 µs', 'long 😀    22'])
  })
})

describe('progress', () => {
  function written(isTTY: boolean): {
    text: () => string
    progress: ReturnType<typeof createProgress>
  } {
    let text = ''
    let now = 0
    const stream = { isTTY, columns: 20, write: (more: string) => (text += more) }
    return { text: () => text, progress: createProgress(stream, () => (now += 1000)) }
  }

  test('in a pipe it is the lines that stay, and no control character', () => {
    const { text, progress } = written(false)
    progress.update('working')
    progress.line('done')
    progress.end()
    expect(text()).toBe('done\n')
  })

  test('a terminal that does not know its width has 80 columns', () => {
    let text = ''
    const stream = { isTTY: true, columns: 0, write: (more: string) => (text += more) }
    createProgress(stream).update('x'.repeat(100))
    expect(text).toBe(`\r\u001B[2K${'x'.repeat(79)}`)
  })

  test('on a terminal the line of the moment is rewritten, cut to the width, and removed at the end', () => {
    const { text, progress } = written(true)
    progress.update('a state that is longer than the terminal')
    progress.line('kept')
    progress.end()
    expect(text()).toBe(
      '\r\u001B[2Ka state that is lon\r\u001B[2Kkept\na state that is lon\r\u001B[2K',
    )
  })
})
