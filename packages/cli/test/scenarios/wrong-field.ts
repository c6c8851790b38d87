import { defineScenario } from '@guestyard/scenario'

export default defineScenario({ vms: { db: { memory: '64 MB' } }, run: () => undefined })
