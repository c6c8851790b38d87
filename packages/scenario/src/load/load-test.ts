/**
 * A load test as a scenario of its own: as many guests without a program as asked, all loads on all of
 * them, and a judgement by thresholds and a baseline. The command and the scripts are made of this.
 */

import type { CheckResult } from '../expect.ts'
import { planScenario } from '../plan.ts'
import type { ScenarioPlan } from '../plan.ts'
import { withChecks } from '../run-scenario.ts'
import type { RunReport } from '../run-scenario.ts'
import { compareWithBaseline } from './baseline.ts'
import type { Baseline } from './baseline.ts'
import { checkRingsFit, loadSettings } from './settings.ts'
import type { FieldName, LoadOptions } from './settings.ts'
import { checkThreshold } from './threshold.ts'
import type { Threshold } from './threshold.ts'

export interface LoadTest {
  readonly name: string
  readonly guests: number
  /** Of each guest. */
  readonly memory: number | string
  readonly placement: 'contiguous' | 'scattered'
  /** Run on all guests at once, repeats in turns. */
  readonly loads: readonly LoadOptions[]
}

/** Bounds on what a load test finds. */
export interface Judgement {
  readonly thresholds: readonly Threshold[]
  readonly baseline: Baseline | null
  /** How much worse than the baseline is taken: 0.1 is a tenth. */
  readonly tolerance: number
}

/**
 * The plan of a load test: guests `guest1`, `guest2`, … Throws `InputError` for what is wrong: a field of a
 * guest, an option of a load (spelled by `fieldOf`), or rings for which the guests have no room.
 */
export function planLoadTest(test: LoadTest, fieldOf?: FieldName): ScenarioPlan {
  const settings = test.loads.map((load) => loadSettings(load, test.guests, fieldOf))
  const names = Array.from({ length: test.guests }, (_, index) => `guest${index + 1}`)
  const plan = planScenario({
    name: test.name,
    vms: Object.fromEntries(
      names.map((name) => [name, { memory: test.memory, placement: test.placement }]),
    ),
    async run({ vms, load, signal }) {
      await vms.all.started()
      signal.throwIfAborted()
      await load.each(vms.all.list, test.loads)
    },
  })
  for (const vm of plan.vms) {
    for (const load of settings) checkRingsFit(load, vm.memoryBytes, fieldOf)
  }
  return plan
}

/** Holds a report against its bounds; packets lost or out of order fail it whatever is asked. */
export function judgeLoadTest(report: RunReport, judgement: Judgement): RunReport {
  const checks: CheckResult[] = report.loads.map((load) => ({
    name: `${load.settings.name}: packets lost or out of order`,
    passed: load.sequenceErrors === 0,
    actual: String(load.sequenceErrors),
    bound: '= 0',
  }))
  for (const threshold of judgement.thresholds) {
    checks.push(...report.loads.map((load) => checkThreshold(threshold, load)))
  }
  if (judgement.baseline !== null) {
    checks.push(...compareWithBaseline(judgement.baseline, report.loads, judgement.tolerance))
  }
  return withChecks(report, checks)
}
