// Which channels are polled, how long, and in which order.

import { describe, expect, test } from 'vitest'
import { ActiveEntry, ActiveList, IDLE_POLLS_MAX, POLL_SLICE } from '../src/active-list.ts'

class Worker {
  work = 0
  polls: number[] = []
  armed = false
  closed = false
  onPoll: (() => void) | undefined = undefined

  poll(budget: number): number {
    this.onPoll?.()
    const done = Math.min(budget, this.work)
    this.work -= done
    this.polls.push(done)
    return done
  }

  arm(): boolean {
    this.armed = true
    return this.work > 0
  }

  disarm(): void {
    this.armed = false
  }

  close(): void {
    this.closed = true
  }
}

function listOf(count: number): { list: ActiveList; workers: Worker[]; entries: ActiveEntry[] } {
  const list = new ActiveList()
  const workers = Array.from({ length: count }, () => new Worker())
  const entries = workers.map((worker) => new ActiveEntry(worker))
  for (const entry of entries) list.add(entry)
  return { list, workers, entries }
}

describe('the active list', () => {
  test('arms and drops a channel that found nothing often enough', () => {
    const { list, workers } = listOf(1)
    for (let n = 1; n < IDLE_POLLS_MAX; n += 1) expect(list.poll(100)).toBe(0)
    expect([list.size, workers[0]?.armed]).toEqual([1, false])
    expect(list.poll(100)).toBe(0)
    expect([list.size, workers[0]?.armed]).toEqual([0, true])
  })

  test('keeps a channel whose arming finds work, disarmed', () => {
    const { list, workers } = listOf(1)
    for (let n = 1; n < IDLE_POLLS_MAX; n += 1) list.poll(100)
    const [worker] = workers
    if (worker === undefined) throw new Error('There is a worker.')
    // Work arrives between the last poll and the arming.
    worker.onPoll = () => {
      worker.arm = () => {
        worker.work = 1
        return true
      }
    }
    list.poll(100)
    expect([list.size, worker.armed]).toEqual([1, false])
    expect(list.poll(100)).toBe(1)
  })

  test('gives each channel a slice, in turn, whatever the others have', () => {
    const { list, workers } = listOf(3)
    for (const worker of workers) worker.work = 1_000_000
    for (let n = 0; n < 30; n += 1) list.poll(POLL_SLICE)
    expect(workers.map(({ polls }) => polls.length)).toEqual([10, 10, 10])
    expect(new Set(workers.flatMap(({ polls }) => polls))).toEqual(new Set([POLL_SLICE]))
  })

  test('stays within its budget', () => {
    const { list, workers } = listOf(4)
    for (const worker of workers) worker.work = 10
    expect(list.poll(25)).toBe(25)
    expect(list.poll(100)).toBe(15)
    expect(list.poll(0)).toBe(0)
  })

  test('polls everybody when one leaves in the middle of its poll', () => {
    const { list, workers, entries } = listOf(4)
    const [, second] = workers
    if (second === undefined) throw new Error('There is a second.')
    second.onPoll = () => {
      if (entries[1] !== undefined) list.remove(entries[1])
    }
    for (const worker of workers) worker.work = 1
    list.poll(100)
    expect(workers.map(({ polls }) => polls.length)).toEqual([1, 1, 1, 1])
    expect(list.size).toBe(3)
  })

  test('adds and removes as often as asked, each counting once', () => {
    const { list, entries } = listOf(3)
    for (const entry of [...entries, ...entries]) list.add(entry)
    expect(list.size).toBe(3)
    for (const entry of [...entries, ...entries]) list.remove(entry)
    expect(list.size).toBe(0)
    expect(list.poll(10)).toBe(0)
  })

  test('arms all before sleep, and stops at the first that has work', () => {
    const { list, workers } = listOf(3)
    expect(list.arm()).toBe(false)
    expect(workers.every(({ armed }) => armed)).toBe(true)
    expect(list.size).toBe(0)
    const again = listOf(3)
    const [first] = again.workers
    if (first !== undefined) first.work = 1
    expect(again.list.arm()).toBe(true)
    expect(again.list.size).toBe(1)
    expect(first?.armed).toBe(false)
  })
})
