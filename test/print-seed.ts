import type { TestProject } from 'vitest/node'

/** Says which seed the property tests of this run use. */
export function setup(project: TestProject): void {
  console.log(`fast-check seed ${project.config.env['FC_SEED']} (FC_SEED=… replays it)`)
}
