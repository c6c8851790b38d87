import { expect, test } from 'vitest'

import { ComputeQueue } from '../src/kernel/compute-queue.ts'

function queue() {
  const burned: number[] = []
  const work = new ComputeQueue({
    burn(microseconds) {
      burned.push(microseconds)
      return microseconds
    },
  })
  return { work, burned }
}

test('a job is computed in pieces of at most 100 microseconds, and done after the last', async () => {
  const { work, burned } = queue()
  let done = false
  const job = work.add(250).then(() => (done = true))
  while (work.poll() > 0) await Promise.resolve()
  await job
  expect(burned).toEqual([100, 100, 50])
  expect(done).toBe(true)
  expect(work.used).toBe(250)
})

test('jobs take turns in their order, and one of nothing is over at the next poll', async () => {
  const { work } = queue()
  const order: string[] = []
  const jobs = [
    work.add(150).then(() => order.push('first')),
    work.add(0).then(() => order.push('second')),
  ]
  for (let poll = 0; poll < 4; poll += 1) work.poll()
  await Promise.all(jobs)
  expect(order).toEqual(['first', 'second'])
})

test('a program that has not gone on yet still counts as work, and one that has and wants nothing does not', async () => {
  const { work } = queue()
  const job = work.add(0)
  work.poll()
  expect(work.isPending).toBe(true)
  await job
  await Promise.resolve()
  expect(work.isPending).toBe(false)
})

test('without a processor computing takes no time', async () => {
  const work = new ComputeQueue(null)
  const job = work.add(1e9)
  expect(work.poll()).toBe(1)
  await job
  expect(work.used).toBe(0)
})
