/**
 * A victim beside noisy neighbours under the root policy: nobody waits for a grant, whatever it costs the others.
 *
 *     npx guestyard run scripts/noisy-root.ts --engine virtual --seed 7
 */

import { noisyScenario } from './noisy-neighbour/scenario.ts'
import { sayHowToRun } from './scenario-file.ts'

const WAIT_MAX_MS = 0.1

export default noisyScenario({ policy: 'root', waitMaxMs: WAIT_MAX_MS })

if (import.meta.main) sayHowToRun('noisy-root')
