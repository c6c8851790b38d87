// Waits at its top level for what never comes.
import { defineScenario } from '@guestyard/scenario'
import type { Scenario } from '@guestyard/scenario'

await new Promise(() => {})

const scenario: Scenario = defineScenario({ vms: { one: { memory: '2 MiB' } }, async run() {} })

export default scenario
