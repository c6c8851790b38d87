// A scenario from a program: one guest, one load of a tenth of a second, one bound.
import { defineScenario, exitCodeOf, planScenario, runScenario } from '@guestyard/scenario'

const scenario = defineScenario({
  vms: { web: { memory: '16 MiB' } },
  async run({ vms, load, expect }) {
    await vms.all.started()
    const report = await load.channel(vms.web, { payload: 64, duration: '100 ms', repeats: 1 })
    expect(report.packetsPerSecond, 'packets a second').toBeGreaterThan(1000)
    expect(report.sequenceErrors, 'packets lost or out of order').toBe(0)
  },
})

const report = await runScenario(planScenario(scenario))
for (const check of report.checks) {
  console.log(`${check.name}: ${check.actual} (asked: ${check.bound})`)
}
process.exitCode = exitCodeOf(report)
console.log(report.outcome)
// prints: passed
