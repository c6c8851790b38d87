import { CPU_FRACTION_ONE, HvStatus } from '@guestyard/hvdef'
import { VpReport } from '@guestyard/hypervisor'
import { describe, expect, test } from 'vitest'

import {
  CPU_PROPERTIES_DEFAULT,
  Scheduler,
  type CpuProperties,
  type DispatchGrant,
  type OverdueVp,
} from '../src/index.ts'

const MS = 10_000

class Grant implements DispatchGrant {
  readonly history: string[] = []
  report: VpReport = VpReport.NONE

  grant(lp: number): void {
    this.history.push(`grant ${lp}`)
    this.report = VpReport.RUNNING
  }

  revoke(): void {
    this.history.push('revoke')
  }
}

/** A scheduler and VPs that say what the test has them say. Partition n has one VP. */
class Yard {
  readonly scheduler: Scheduler
  readonly overdue: OverdueVp[] = []
  readonly grants: Map<number, Grant> = new Map()
  now = 0

  constructor(policy: 'classic' | 'core' | 'root', logicalProcessors: number, threadsPerCore = 1) {
    this.scheduler = new Scheduler({
      policy,
      logicalProcessors,
      threadsPerCore,
      onOverdue: (overdue) => this.overdue.push(overdue),
    })
  }

  add(partition: number, properties: Partial<CpuProperties> = {}, vpIndex = 0): Grant {
    const grant = new Grant()
    this.grants.set(partition * 64 + vpIndex, grant)
    this.scheduler.add(
      partition,
      vpIndex,
      { ...CPU_PROPERTIES_DEFAULT, ...properties },
      grant,
      this.now,
    )
    return grant
  }

  say(partition: number, report: VpReport, vpIndex = 0): void {
    this.grants.get(partition * 64 + vpIndex)!.report = report
    this.scheduler.stateChanged(partition, vpIndex, this.now)
    this.scheduler.poll(this.now)
  }

  at(ms: number): void {
    this.now = ms * MS
    this.scheduler.poll(this.now)
  }

  vp(partition: number, vpIndex = 0) {
    const found = this.scheduler
      .inspect(this.now)
      .vps.find((vp) => vp.partitionId === partition && vp.vpIndex === vpIndex)
    if (found === undefined) throw new Error(`no VP ${partition}.${vpIndex}`)
    return found
  }
}

describe('the root policy', () => {
  test('a new VP is dispatched at once, on the logical processor with the fewest VPs', () => {
    const yard = new Yard('root', 2)
    const grants = [yard.add(2), yard.add(3), yard.add(4)]
    expect(grants.map((grant) => grant.history)).toEqual([['grant 0'], ['grant 1'], ['grant 0']])
  })

  test('a VP that goes loses its grant and makes room on its logical processor', () => {
    const yard = new Yard('root', 2)
    const first = yard.add(2)
    yard.add(3)
    yard.scheduler.remove(2, 0, 0)
    const next = yard.add(4)
    expect(first.history).toEqual(['grant 0', 'revoke'])
    expect(next.history).toEqual(['grant 0'])
    expect(yard.scheduler.inspect(0).vps.map((one) => one.partitionId)).toEqual([3, 4])
  })

  test('no slice ends and no deadline is named, whatever the weights', () => {
    const yard = new Yard('root', 1)
    const grants = [yard.add(2, { weight: 1, cap: 1 }), yard.add(3, { weight: 10_000 })]
    yard.at(1_000)
    expect(grants.map((grant) => grant.history)).toEqual([['grant 0'], ['grant 0']])
    expect(yard.scheduler.nextDeadline100ns).toBe(Number.POSITIVE_INFINITY)
  })

  test('a VP that was never added can be removed without harm, and none is added twice', () => {
    const yard = new Yard('root', 1)
    yard.scheduler.remove(9, 0, 0)
    yard.add(2)
    expect(() => yard.add(2)).toThrow('scheduled once')
  })
})

describe('the classic policy', () => {
  test('a processor passes on only after the VP that had it has said that it stopped', () => {
    const yard = new Yard('classic', 1)
    const first = yard.add(2)
    const second = yard.add(3)
    yard.at(0)
    yard.at(2)
    expect(first.history).toEqual(['grant 0', 'revoke'])
    yard.at(5)
    expect(second.history).toEqual([])
    yard.say(2, VpReport.READY)
    expect(second.history).toEqual(['grant 0'])
    expect(yard.vp(2)).toMatchObject({ guestRunTime: 5 * MS, preemptions: 1, state: 'ready' })
    expect(yard.vp(3)).toMatchObject({ waitTime: 5 * MS, dispatches: 1, state: 'running' })
  })

  test('a VP without rivals keeps its processor past its slice, and nobody needs to look at the time', () => {
    const yard = new Yard('classic', 2)
    const alone = yard.add(2)
    yard.at(0)
    expect(yard.scheduler.nextDeadline100ns).toBe(Number.POSITIVE_INFINITY)
    yard.at(500)
    expect(alone.history).toEqual(['grant 0'])
  })

  test('a halted VP leaves its processor and is dispatched when it has work again', () => {
    const yard = new Yard('classic', 1)
    const vp = yard.add(2)
    yard.at(0)
    yard.at(1)
    yard.say(2, VpReport.HALTED)
    expect(yard.vp(2)).toMatchObject({ state: 'halted', halts: 1, guestRunTime: MS })
    yard.at(90)
    yard.say(2, VpReport.READY)
    expect(vp.history).toEqual(['grant 0', 'grant 0'])
    expect(yard.vp(2).guestRunTime).toBe(MS)
  })

  test('after a long spin wait another VP goes first', () => {
    const yard = new Yard('classic', 1)
    const spinner = yard.add(2)
    const holder = yard.add(3)
    yard.at(0)
    yard.at(0.1)
    yard.say(2, VpReport.YIELDED)
    expect(holder.history).toEqual(['grant 0'])
    yard.say(3, VpReport.HALTED)
    expect(spinner.history).toEqual(['grant 0', 'grant 0'])
    expect(yard.vp(2)).toMatchObject({ yields: 1, preemptions: 0 })
  })

  test('a VP that wakes takes over from one that had more than its share, long before the slice ends', () => {
    const yard = new Yard('classic', 1)
    const sleeper = yard.add(2)
    const hog = yard.add(3)
    yard.at(0)
    yard.say(2, VpReport.HALTED)
    yard.at(100)
    yard.at(100.5)
    yard.say(2, VpReport.READY)
    expect(hog.history).toEqual(['grant 0', 'revoke'])
    yard.say(3, VpReport.READY)
    expect(sleeper.history).toEqual(['grant 0', 'grant 0'])
  })

  test.each([
    // 1 wake-up in half a slice; of those 1 % are in the liar's share where it counts each as a 32nd of a slice.
    ['as much as its neighbour: twice a slice', 100, 2_000, 0.97],
    ['a hundredth of its neighbour: once in three slices', 10_000, 400, 0.99],
  ])(
    'a VP that says it halts at every grant and wakes at once may interrupt, when it is due %s',
    (_, weight, interruptions, left) => {
      const yard = new Yard('classic', 1)
      const liar = yard.add(2, { weight: 100 })
      const victim = yard.add(3, { weight })
      // 10 µs a step, 2 s.
      for (let step = 0; step < 200_000; step += 1) {
        yard.at(step / 100)
        if (victim.history.at(-1) === 'revoke' && yard.vp(3).state === 'running') {
          yard.say(3, VpReport.READY)
        }
        if (yard.vp(2).state === 'running') yard.say(2, VpReport.HALTED)
        else if (liar.report === VpReport.HALTED) yard.say(2, VpReport.READY)
      }
      expect(yard.vp(3).preemptions).toBeLessThanOrEqual(interruptions)
      // Each costs the victim the step in which the liar has the processor.
      expect(yard.vp(3).guestRunTime / yard.now).toBeGreaterThan(left)
    },
  )

  test('how long a revoked processor has been kept is known by partition, until it is given back', () => {
    const yard = new Yard('classic', 2)
    for (const partition of [2, 3, 4]) yard.add(partition)
    yard.at(0)
    yard.at(2)
    const held = [2, 3].map((partition) => yard.scheduler.overdueMs(partition, 50 * MS))
    expect(held).toEqual([48, 48])
    expect(yard.scheduler.overdueMs(4, 50 * MS)).toBe(0)
    expect(yard.scheduler.overdueMs(9, 50 * MS)).toBe(0)
    yard.say(2, VpReport.READY)
    yard.say(3, VpReport.READY)
    expect([2, 3].map((partition) => yard.scheduler.overdueMs(partition, 50 * MS))).toEqual([0, 0])
  })

  test('reports that make no sense change nothing', () => {
    const yard = new Yard('classic', 1)
    yard.add(2)
    yard.add(3)
    yard.at(0)
    for (const report of [VpReport.HALTED, VpReport.READY, VpReport.YIELDED, VpReport.NONE]) {
      yard.say(3, report)
    }
    yard.scheduler.stateChanged(9, 0, yard.now)
    expect(yard.vp(2).state).toBe('running')
    expect(yard.vp(3).state).toBe('ready')
  })

  test('a VP that does not stop when told to is reported, again when it took twice as long, and counted once', () => {
    const yard = new Yard('classic', 1)
    yard.add(2)
    yard.add(3)
    yard.at(0)
    yard.at(2)
    expect(yard.scheduler.nextDeadline100ns).toBe(102 * MS)
    for (let ms = 3; ms <= 450; ms += 1) yard.at(ms)
    expect(yard.overdue).toEqual([
      { partitionId: 2, vpIndex: 0, logicalProcessor: 0, overdueMs: 100 },
      { partitionId: 2, vpIndex: 0, logicalProcessor: 0, overdueMs: 200 },
      { partitionId: 2, vpIndex: 0, logicalProcessor: 0, overdueMs: 400 },
    ])
    expect(yard.scheduler.inspect(yard.now).overdue).toBe(1)
    expect(yard.vp(3).state).toBe('ready')
    yard.say(2, VpReport.READY)
    expect(yard.vp(3).state).toBe('running')
  })

  test('a partition that is deleted while its VP runs frees the processor', () => {
    const yard = new Yard('classic', 1)
    const gone = yard.add(2)
    const next = yard.add(3)
    yard.at(0)
    yard.scheduler.remove(2, 0, yard.now)
    yard.at(0)
    expect(gone.history).toEqual(['grant 0', 'revoke'])
    expect(next.history).toEqual(['grant 0'])
  })
})

describe('properties at run time', () => {
  test('what is out of range, unknown or more than there is gets the status that says so', () => {
    const yard = new Yard('classic', 1)
    yard.add(2, { reserve: CPU_FRACTION_ONE / 2 })
    yard.add(3)
    const set = (id: number, properties: Partial<CpuProperties>) =>
      yard.scheduler.setProperties(id, { ...CPU_PROPERTIES_DEFAULT, ...properties }, yard.now)
    expect(set(9, {})).toBe(HvStatus.INVALID_PARTITION_ID)
    expect(set(3, { weight: 0 })).toBe(HvStatus.PROPERTY_VALUE_OUT_OF_RANGE)
    expect(set(3, { weight: 10_001 })).toBe(HvStatus.PROPERTY_VALUE_OUT_OF_RANGE)
    expect(set(3, { cap: 100, reserve: 101 })).toBe(HvStatus.PROPERTY_VALUE_OUT_OF_RANGE)
    expect(set(3, { reserve: CPU_FRACTION_ONE / 2 + 1 })).toBe(HvStatus.NO_RESOURCES)
    expect(set(3, { reserve: CPU_FRACTION_ONE / 2 })).toBe(HvStatus.SUCCESS)
    expect(set(2, { reserve: CPU_FRACTION_ONE / 4 })).toBe(HvStatus.SUCCESS)
    expect(yard.vp(2).reserve).toBe(0.25)
  })

  test('a reserve that does not fit is refused before the partition is there', () => {
    const yard = new Yard('classic', 2)
    const half = { ...CPU_PROPERTIES_DEFAULT, reserve: CPU_FRACTION_ONE / 2 }
    yard.add(2, half)
    yard.add(2, half, 1)
    expect(yard.scheduler.admits(2, half)).toBe(true)
    expect(yard.scheduler.admits(2, { ...half, reserve: half.reserve + 1 })).toBe(false)
    expect(yard.scheduler.admits(1, { ...half, weight: 0 })).toBe(false)
  })

  test('a VP that its cap keeps off is released when the cap is lifted', () => {
    const yard = new Yard('classic', 1)
    const vp = yard.add(2, { cap: 1_310 })
    yard.at(0)
    yard.at(1)
    expect(vp.history).toEqual(['grant 0', 'revoke'])
    yard.say(2, VpReport.READY)
    expect(yard.vp(2)).toMatchObject({ state: 'throttled', throttles: 1 })
    yard.scheduler.setProperties(2, CPU_PROPERTIES_DEFAULT, yard.now)
    yard.at(1)
    expect(vp.history).toEqual(['grant 0', 'revoke', 'grant 0'])
  })
})

describe('the core policy', () => {
  test('the sibling thread stays idle rather than run a stranger', () => {
    const yard = new Yard('core', 2, 2)
    yard.add(2)
    const stranger = yard.add(3)
    yard.at(0)
    expect(yard.vp(2).state).toBe('running')
    expect(stranger.history).toEqual([])
    const sibling = yard.add(2, {}, 1)
    yard.at(0)
    expect(sibling.history).toEqual(['grant 1'])
  })

  test('a core changes hands when the last of its threads has stopped', () => {
    const yard = new Yard('core', 2, 2)
    yard.add(2)
    yard.add(2, {}, 1)
    const stranger = yard.add(3)
    yard.at(0)
    yard.at(2)
    yard.say(2, VpReport.READY, 0)
    expect(stranger.history).toEqual([])
    yard.say(2, VpReport.READY, 1)
    expect(stranger.history).toEqual(['grant 0'])
  })
})
