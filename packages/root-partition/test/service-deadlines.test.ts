import { expect, test } from 'vitest'

import { ServiceDeadlines, type TimedServices } from '../src/service-deadlines.ts'

class Services implements TimedServices {
  nextDeadlineMs: number
  woken = 0

  constructor(nextDeadlineMs: number) {
    this.nextDeadlineMs = nextDeadlineMs
  }

  wakeDue(): void {
    this.woken += 1
    this.nextDeadlineMs += 2_000
  }
}

test('who is due is woken, once, and the next deadline is that of the nearest, a millisecond late', () => {
  const deadlines = new ServiceDeadlines()
  const [soon, late] = [new Services(1_000), new Services(2_500)]
  deadlines.add(soon)
  deadlines.add(late)
  expect(deadlines.nextDeadlineMs).toBe(1_001)
  expect(deadlines.poll(999)).toBe(0)
  expect(deadlines.poll(1_000)).toBe(1)
  expect([soon.woken, late.woken, deadlines.nextDeadlineMs]).toEqual([1, 0, 2_501])
  expect(deadlines.poll(3_000)).toBe(2)
  expect([soon.woken, late.woken, deadlines.nextDeadlineMs]).toEqual([2, 1, 4_501])
})

test('a deadline that is announced is met though it was not there before', () => {
  const deadlines = new ServiceDeadlines()
  const services = new Services(Infinity)
  deadlines.add(services)
  expect(deadlines.nextDeadlineMs).toBe(Infinity)
  services.nextDeadlineMs = 300
  deadlines.announce(300)
  expect(deadlines.nextDeadlineMs).toBe(301)
  expect(deadlines.poll(300)).toBe(1)
})

test('nobody is woken who has left, and the deadline that he leaves is met once', () => {
  const deadlines = new ServiceDeadlines()
  const services = new Services(100)
  deadlines.add(services)
  deadlines.remove(services)
  expect(deadlines.poll(100)).toBe(0)
  expect([services.woken, deadlines.nextDeadlineMs]).toEqual([0, Infinity])
})
