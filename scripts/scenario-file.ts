/** Scenarios that a reader may take for scripts. */

import process from 'node:process'

/** Says how the scenario is run, with exit code 2: for a file that `node` was given by itself. */
export function sayHowToRun(name: string): void {
  process.stderr.write(`a scenario: npx guestyard run scripts/${name}.ts\n`)
  process.exitCode = 2
}
