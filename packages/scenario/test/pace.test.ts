// The pace of a console session: virtual time waits for real time, never the other way round.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { Pace } from '../src/virtual/pace.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

test('what is ahead rests for as long as it is ahead', async () => {
  const pace = new Pace()
  expect(pace.restAt(0)).toBe(null)
  const rested = vi.fn<() => void>()
  void pace.restAt(20)!.then(rested)
  await vi.advanceTimersByTimeAsync(19)
  expect(rested).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(1)
  expect(rested).toHaveBeenCalled()
})

test('what fell behind is not caught up', async () => {
  const pace = new Pace()
  expect(pace.restAt(0)).toBe(null)
  // A boot that took longer than its virtual time.
  await vi.advanceTimersByTimeAsync(10_000)
  expect(pace.restAt(3_000)).toBe(null)
  expect(pace.restAt(3_005)).not.toBe(null)
})

test('what comes from outside ends the rest', async () => {
  const pace = new Pace()
  expect(pace.restAt(0)).toBe(null)
  const rest = pace.restAt(5_000)
  pace.hurry()
  await rest
  expect(vi.getTimerCount()).toBe(0)
})
