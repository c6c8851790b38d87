import { describe, expect, test } from 'vitest'

import { RootPolicy, Scheduler, type DispatchGrant } from '../src/index.ts'

class Grant implements DispatchGrant {
  readonly history: string[] = []

  grant(lp: number): void {
    this.history.push(`grant ${lp}`)
  }

  revoke(): void {
    this.history.push('revoke')
  }
}

function vp(partitionId: number, vpIndex = 0) {
  return { partitionId, vpIndex, weight: 100 }
}

describe('the scheduler under the root policy', () => {
  test('a new VP is dispatched at once, on the logical processor with the fewest VPs', () => {
    const scheduler = new Scheduler(new RootPolicy(2), 2)
    const grants = [new Grant(), new Grant(), new Grant()]
    grants.forEach((grant, index) => scheduler.add(vp(index + 2), grant))
    expect(grants.map((grant) => grant.history)).toEqual([['grant 0'], ['grant 1'], ['grant 0']])
  })

  test('a VP that goes loses its grant and makes room on its logical processor', () => {
    const scheduler = new Scheduler(new RootPolicy(2), 2)
    const first = new Grant()
    scheduler.add(vp(2), first)
    scheduler.add(vp(3), new Grant())
    scheduler.remove(2, 0)
    const next = new Grant()
    scheduler.add(vp(4), next)
    expect(first.history).toEqual(['grant 0', 'revoke'])
    expect(next.history).toEqual(['grant 0'])
    expect(scheduler.inspect().vps.map((one) => one.partitionId)).toEqual([3, 4])
  })

  test('a VP that was never added can be removed without harm', () => {
    const scheduler = new Scheduler(new RootPolicy(1), 1)
    scheduler.remove(9, 0)
    expect(scheduler.inspect().vps).toEqual([])
  })

  test('the same VP is not scheduled twice', () => {
    const scheduler = new Scheduler(new RootPolicy(1), 1)
    scheduler.add(vp(2), new Grant())
    expect(() => scheduler.add(vp(2), new Grant())).toThrow('scheduled once')
  })
})
