/**
 * A victim beside noisy neighbours under the classic policy: the victim waits for a running neighbour's next exit, not for its slice. The bound is one for virtual time.
 *
 *     npx guestyard run scripts/noisy-classic.ts --engine virtual --seed 7
 */

import { noisyScenario } from './noisy-neighbour/scenario.ts'
import { sayHowToRun } from './scenario-file.ts'

const WAIT_MAX_MS = 0.5

export default noisyScenario({ policy: 'classic', waitMaxMs: WAIT_MAX_MS })

if (import.meta.main) sayHowToRun('noisy-classic')
