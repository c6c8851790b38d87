/**
 * A victim beside noisy neighbours under the core policy, on the two threads of one core: nobody else runs while the victim does.
 *
 * The bound is one for virtual time.
 *
 *     npx guestyard run scripts/noisy-core.ts --engine virtual --seed 7
 */

import { noisyScenario } from './noisy-neighbour/scenario.ts'
import { sayHowToRun } from './scenario-file.ts'

const WAIT_MAX_MS = 0.5

export default noisyScenario({ policy: 'core', waitMaxMs: WAIT_MAX_MS })

if (import.meta.main) sayHowToRun('noisy-core')
