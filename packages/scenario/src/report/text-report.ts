/** A run as text: what a terminal shows at its end. */

import { describeEnvironment } from '../environment.ts'
import type { CheckResult } from '../expect.ts'
import type { ChannelReport } from '../load/channel-report.ts'
import { formatBytes, formatNs } from '../quantity.ts'
import type { RunError, RunReport } from '../run-scenario.ts'
import { loadRow, LOAD_COLUMNS } from './load-table.ts'
import { describeEnd } from './machine-end.ts'
import { alignTable } from './table.ts'

/** The whole report, lines joined. */
export function textReport(report: RunReport): string {
  const lines = [
    ...loadLines(report.loads),
    ...checkLines(report.checks),
    ...machineLines(report),
    describeEnvironment(report.environment),
    ...(report.error === null ? [] : [errorLine(report.error)]),
    `${report.scenario}: ${report.outcome} in ${formatNs(report.durationMs * 1e6)}${reason(report)}`,
  ]
  return `${lines.join('\n')}\n`
}

/** Loads as a table of their own, followed by an empty line. */
function loadLines(loads: readonly ChannelReport[]): readonly string[] {
  return loads.length === 0 ? [] : [...alignTable(LOAD_COLUMNS, loads.map(loadRow)), '']
}

/** Checks, one line each, followed by an empty line. */
function checkLines(checks: readonly CheckResult[]): readonly string[] {
  if (checks.length === 0) return []
  const rows = checks.map(
    (check) => `${check.passed ? '✓' : '✗'} ${check.name}: ${check.actual} (asked: ${check.bound})`,
  )
  return [...rows, '']
}

function machineLines(report: RunReport): readonly string[] {
  if (report.vms.length === 0) return []
  const rows = report.vms.map((vm) => [
    vm.name,
    formatBytes(vm.memoryBytes),
    vm.startMs === null ? '–' : formatNs(vm.startMs * 1e6),
    describeEnd(vm),
  ])
  return [...alignTable(['Machine', 'memory', 'started in', 'at the end'], rows), '']
}

/** What was thrown and where. Of a plain error from outside the scenario file the message says all. */
function errorLine({ name, message, place }: RunError): string {
  if (place === null) return name === null || name === 'Error' ? message : `${name}: ${message}`
  return `${name === null ? '' : `${name}: `}${message} (${place})`
}

function reason(report: RunReport): string {
  if (report.outcome !== 'failed') return ''
  const failed = report.checks.filter((check) => !check.passed).length
  return failed === 0 ? '' : `: ${failed} of ${report.checks.length} checks failed`
}
