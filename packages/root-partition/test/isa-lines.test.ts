import { expect, test } from 'vitest'
import { HvStatus } from '@guestyard/hvdef'

import { InterruptGuest } from './support/interrupt-guest.ts'

test('a line interrupts VP 0 each time it rises, and not while it stays up', () => {
  const guest = new InterruptGuest(2)
  const { isaLines } = guest.router
  for (const asserted of [true, true, false]) isaLines.set(14, asserted)
  expect(guest.takeAll()).toEqual([[0, 0x3e]])
  isaLines.set(14, true)
  isaLines.set(15, true)
  expect(guest.takeAll()).toEqual([
    [0, 0x3f],
    [0, 0x3e],
  ])
})

test.each([-1, 16, 1.5, Number.NaN, 2 ** 32 + 14])('there is no line %d', (line) => {
  const guest = new InterruptGuest(1)
  expect(guest.router.isaLines.set(line, true)).toBe(HvStatus.INVALID_PARAMETER)
  expect(guest.takeAll()).toEqual([])
  expect(guest.router.remapping.inspect().devices).toEqual([])
})
