import { Doorbell } from '@guestyard/ring'
import { expect, test } from 'vitest'

test('a ring between sample and wait ends the wait at once', () => {
  const bell = Doorbell.create()
  const sample = bell.sample()
  bell.ring()
  expect(bell.waitBlocking(sample, 1000)).toBe('rung')
  expect([bell.sleeps, bell.timeouts]).toEqual([0, 0])
})

test('nobody is notified while nobody waits', () => {
  const bell = Doorbell.create()
  bell.ring()
  expect([bell.rings, bell.notifies]).toEqual([1, 0])
})

test('a wait on a fresh sample sleeps, and the net of a timeout is counted', () => {
  const bell = Doorbell.create()
  expect(bell.waitBlocking(bell.sample(), 1)).toBe('timed-out')
  expect([bell.sleeps, bell.timeouts]).toEqual([1, 1])
})

test('an event loop waits and is woken', async () => {
  const bell = Doorbell.create()
  const wait = bell.waitAsync(bell.sample())
  bell.ring()
  expect(await wait).toBe('rung')
  expect([bell.sleeps, bell.notifies]).toEqual([1, 1])
  const stale = bell.sample() - 1
  expect(await bell.waitAsync(stale)).toBe('rung')
})

test('an event loop that waits gives up at its timeout', async () => {
  const bell = Doorbell.create()
  expect(await bell.waitAsync(bell.sample(), 1)).toBe('timed-out')
})

test('stop ends a wait that is under way and every one after it', async () => {
  const bell = Doorbell.create()
  const wait = bell.waitAsync(bell.sample())
  bell.stop()
  expect(await wait).toBe('stopped')
  expect(bell.waitBlocking(bell.sample())).toBe('stopped')
  expect(await bell.waitAsync(bell.sample())).toBe('stopped')
  expect(bell.stopped).toBe(true)
})

test('a wake-up without a ring is counted as spurious', async () => {
  const bell = Doorbell.create()
  const wait = bell.waitAsync(bell.sample())
  Atomics.notify(bell.words, 0)
  expect(await wait).toBe('rung')
  expect(bell.spuriousWakes).toBe(1)
})

test('two doorbells in one buffer do not hear each other', () => {
  const buffer = new SharedArrayBuffer(128)
  const first = new Doorbell(buffer, 0)
  const second = new Doorbell(buffer, 64)
  first.ring()
  expect([first.sample(), second.sample()]).toEqual([1, 0])
})

test('a wait whose word another thread cleared ends by ringAlways, not by ring', async () => {
  const bell = Doorbell.create()
  const sample = bell.sample()
  let ended = false
  const wait = bell.waitAsync(sample).then((end) => {
    ended = true
    return end
  })
  Atomics.store(bell.words, 1, 0)
  bell.ring()
  expect([bell.rings, bell.notifies, ended]).toEqual([1, 0, false])
  bell.ringAlways()
  expect([bell.rings, bell.notifies]).toEqual([2, 1])
  expect(await wait).toBe('rung')
})

test('ringAlways before the wait ends it at once', () => {
  const bell = Doorbell.create()
  const sample = bell.sample()
  bell.ringAlways()
  expect(bell.waitBlocking(sample, 1000)).toBe('rung')
  expect([bell.sleeps, bell.notifies]).toEqual([0, 0])
})
