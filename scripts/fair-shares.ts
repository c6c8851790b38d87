/**
 * Three guests that would each take a whole processor, on one: they get what their weights say, and the one with a cap no more
 * than that. The same file in both engines.
 *
 *     npx guestyard run scripts/fair-shares.ts
 *     npx guestyard run scripts/fair-shares.ts --engine virtual --seed 7
 */

import { defineScenario } from '@guestyard/scenario'
import type { ScenarioDefinition, VmDefinition } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

const guest = './guests/burner.ts'
const MEASURE_MS = 2_000
/** Of a share; real threads share two cores with everything else that runs there. */
const TOLERANCE = 0.05

const scenario: ScenarioDefinition<{
  readonly [Name in 'small' | 'large' | 'capped']: VmDefinition
}> = defineScenario({
  name: 'fair shares',
  host: { logicalProcessors: 1, scheduler: 'classic' },
  vms: {
    small: { memory: '2 MiB', guest, weight: 100 },
    large: { memory: '2 MiB', guest, weight: 300 },
    capped: { memory: '2 MiB', guest, weight: 10_000, cap: '20 %' },
  },
  async run({ vms, expect, log }) {
    await vms.all.started()
    const used = () =>
      Promise.all(
        [vms.small, vms.large, vms.capped].map(async (vm) => (await vm.call('used')) as number),
      )
    const before = await used()
    await new Promise((resolve) => setTimeout(resolve, MEASURE_MS))
    const after = await used()
    const had = after.map((time, index) => time - before[index]!)
    const total = had.reduce((sum, time) => sum + time, 0)
    const due = [0.2, 0.6, 0.2]
    had.forEach((time, index) => {
      const share = time / total
      log(`${(share * 100).toFixed(2)} % of ${due[index]! * 100} %`)
      expect(Math.abs(share / due[index]! - 1), 'off its share').toBeLessThan(TOLERANCE)
    })
  },
})

export default scenario

if (import.meta.main) sayHowToRun('fair-shares')
