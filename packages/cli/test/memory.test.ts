import { expect, test } from 'vitest'

import { guestyard, scenario } from './command-line.ts'

test.each([[], ['--engine', 'virtual', '--seed', '7']].map((engine) => ({ engine })))(
  'a machine is given more RAM under load and uses it, with flags $engine',
  async ({ engine }) => {
    const end = await guestyard(['run', scenario('grows.ts'), ...engine])
    expect(end.stdout).toMatch(/\ngrows: passed in /)
    expect(end.exitCode).toBe(0)
  },
  60_000,
)
