/**
 * A run as one self-contained page: charts, tables, checks and the data behind them. No script, no
 * font, no picture from anywhere; light or dark as the reader has it.
 */

import { describeEnvironment } from '../environment.ts'
import type { CheckResult } from '../expect.ts'
import type { ChannelReport } from '../load/channel-report.ts'
import { formatBytes, formatNs } from '../quantity.ts'
import type { RunReport } from '../run-scenario.ts'
import { distributionChart, percentileChart, throughputCharts } from './charts.ts'
import { html } from './markup.ts'
import type { Markup } from './markup.ts'
import { describeEnd } from './machine-end.ts'
import { loadRow, LOAD_COLUMNS } from './load-table.ts'
import { pageStyle } from './page-style.ts'

/** The page, whole. */
export function htmlReport(report: RunReport): string {
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${report.scenario}: ${report.outcome}</title>
        <style>
          ${pageStyle}
        </style>
      </head>
      <body>
        <main>
          ${heading(report)} ${checksSection(report.checks)} ${chartsSection(report.loads)}
          ${loadsSection(report.loads)} ${machinesSection(report)} ${logSection(report)}
          ${dataSection(report)}
        </main>
      </body>
    </html> `
  return page.markup
}

function heading(report: RunReport): Markup {
  const failedChecks = report.checks.filter((check) => !check.passed).length
  const checks =
    report.checks.length === 0
      ? 'no checks'
      : failedChecks === 0
        ? `${report.checks.length} checks held`
        : `${failedChecks} of ${report.checks.length} checks failed`
  return html`<header>
    <h1>${report.scenario} <span class="outcome ${report.outcome}">${report.outcome}</span></h1>
    <p class="facts">
      ${report.startedAt.replace('T', ' ').replace(/\..*/, ' UTC')} ·
      ${formatNs(report.durationMs * 1e6)} · ${checks}<br />${describeEnvironment(report.environment)}
    </p>
    ${report.error === null ? null : html`<pre class="error">${report.error.stack ?? report.error.message}</pre>`}
  </header>`
}

function checksSection(checks: readonly CheckResult[]): Markup | null {
  if (checks.length === 0) return null
  return html`<section>
    <h2>Checks</h2>
    ${table(
      ['Check', 'Measured', 'Asked', ''],
      checks.map((check) => [
        check.name,
        check.actual,
        check.bound,
        html`<span class="${check.passed ? 'held' : 'missed'}"
          >${check.passed ? '✓ held' : '✗ failed'}</span
        >`,
      ]),
    )}
  </section>`
}

function chartsSection(loads: readonly ChannelReport[]): Markup | null {
  const charts = [
    ...throughputCharts(loads),
    percentileChart(loads),
    distributionChart(loads),
  ].filter((chart) => chart !== null)
  return charts.length === 0 ? null : html`<section class="charts">${charts}</section>`
}

function loadsSection(loads: readonly ChannelReport[]): Markup | null {
  if (loads.length === 0) return null
  return html`<section>
    <h2>Loads</h2>
    <p class="note">
      Medians of the repeats; latencies from all their samples together. Spread is that of the
      repeats: (largest − smallest) / median.
    </p>
    ${table(LOAD_COLUMNS, loads.map(loadRow))}
  </section>`
}

function machinesSection(report: RunReport): Markup | null {
  if (report.vms.length === 0) return null
  return html`<section>
    <h2>Machines</h2>
    ${table(
      ['Machine', 'Memory', 'Started in', 'At the end'],
      report.vms.map((vm) => [
        vm.name,
        formatBytes(vm.memoryBytes),
        vm.startMs === null ? '–' : formatNs(vm.startMs * 1e6),
        describeEnd(vm),
      ]),
    )}
  </section>`
}

function logSection(report: RunReport): Markup | null {
  if (report.log.length === 0) return null
  const lines = report.log.map(({ atMs, text }) => `${formatNs(atMs * 1e6).padStart(8)}  ${text}`)
  return html`<section>
    <h2>Log</h2>
    <pre>${lines.join('\n')}</pre>
  </section>`
}

function dataSection(report: RunReport): Markup {
  return html`<section>
    <details>
      <summary>The data, as JSON</summary>
      <pre>${JSON.stringify(report, null, 2)}</pre>
    </details>
  </section>`
}

function table(header: readonly string[], rows: readonly (readonly (string | Markup)[])[]): Markup {
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          ${header.map((title) => html`<th scope="col">${title}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${row.map((cell) => html`<td>${cell}</td>`)}
            </tr> `,
        )}
      </tbody>
    </table>
  </div>`
}
