import { expect, test } from 'vitest'
import { EventQueue } from '../src/vsp/event-queue.ts'

test('events come out in order, and what does not fit is dropped and counted', () => {
  const queue = new EventQueue(3)
  expect([1, 2, 3, 4].map((value) => queue.push(value, 0, 0, -value))).toEqual([
    true,
    true,
    true,
    false,
  ])
  expect(queue.dropped).toBe(1)
  const seen: number[] = []
  for (; queue.length > 0; queue.shift()) seen.push(queue.peek(0), queue.peek(3))
  expect(seen).toEqual([1, -1, 2, -2, 3, -3])
})

test('places are used again for as long as the queue lives', () => {
  const queue = new EventQueue(2)
  for (let value = 0; value < 100; value += 1) {
    queue.push(value, 0, 0, 0)
    expect(queue.peek(0)).toBe(value)
    queue.shift()
  }
  expect(queue.dropped).toBe(0)
  expect(queue.peek(0)).toBe(0)
})

test('a queue without places is refused by name', () => {
  expect(() => new EventQueue(0)).toThrow('queueLimit must be a whole number of at least 1, got 0')
})
