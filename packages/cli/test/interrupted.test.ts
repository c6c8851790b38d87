// An interruption at a moment when there is no report yet.

import { expect, test } from 'vitest'

import { guestyard, scenario } from './command-line.ts'

test('a run in virtual time that is interrupted before its thread answers ends with 130 and no stack', async () => {
  const args = ['run', scenario('interrupts.ts'), '--engine', 'virtual']
  const end = await guestyard(args)
  expect(end.exitCode).toBe(130)
  expect(end.stderr).toBe('guestyard: interrupted\n')
})
