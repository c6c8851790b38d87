/**
 * Sixty-four guests that never rest, on eight logical processors: each gets what its weight says, within 1 % in virtual time.
 *
 *     npx guestyard run scripts/many-shares.ts --engine virtual --seed 7
 */

import { defineScenario } from '@guestyard/scenario'
import type { ScenarioDefinition, VmDefinition } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

const GUESTS = 64
const LOGICAL_PROCESSORS = 8
const WEIGHTS = [100, 200, 400, 50]
/** The least weight gets some 300 slices in this time. */
const MEASURE_MS = 20_000
const TOLERANCE = 0.01

const weightOf = (index: number): number => WEIGHTS[index % WEIGHTS.length]!

const scenario: ScenarioDefinition<Record<string, VmDefinition>> = defineScenario({
  name: 'many shares',
  host: { logicalProcessors: LOGICAL_PROCESSORS, scheduler: 'classic' },
  vms: Object.fromEntries(
    Array.from({ length: GUESTS }, (_, index) => [
      `guest${index}`,
      { memory: '2 MiB', guest: './guests/burner.ts', weight: weightOf(index) },
    ]),
  ),
  async run({ vms, expect, log }) {
    await vms.all.started()
    const guests = Array.from({ length: GUESTS }, (_, index) => vms[`guest${index}`]!)
    const used = () => Promise.all(guests.map(async (vm) => (await vm.call('used')) as number))
    const before = await used()
    await new Promise((resolve) => setTimeout(resolve, MEASURE_MS))
    const after = await used()
    const had = after.map((time, index) => time - before[index]!)
    const total = had.reduce((sum, time) => sum + time, 0)
    const weights = had.reduce((sum, _, index) => sum + weightOf(index), 0)
    const errors = had.map((time, index) => {
      return Math.abs(time / total / (weightOf(index) / weights) - 1)
    })
    const busy = (total / 1_000 / MEASURE_MS / LOGICAL_PROCESSORS) * 100
    log(`worst ${(Math.max(...errors) * 100).toFixed(2)} %, processors ${busy.toFixed(1)} % busy`)
    expect(Math.max(...errors), 'furthest from its share').toBeLessThan(TOLERANCE)
  },
})

export default scenario

if (import.meta.main) sayHowToRun('many-shares')
