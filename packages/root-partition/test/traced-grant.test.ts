import { expect, test } from 'vitest'

import { VpReport } from '@guestyard/hypervisor'
import { TRACE_KINDS, Trace } from '@guestyard/trace'

import type { DispatchGrant } from '../src/scheduler/index.ts'
import { tracedGrant } from '../src/traced-grant.ts'

/** Kind and cause of each record, and VPs that say what they are told to say. */
function traced(): {
  records: (readonly [string, number])[]
  vp: (index: number) => { grant: DispatchGrant; say: (report: VpReport) => void }
} {
  const records: (readonly [string, number])[] = []
  const sink = {
    record: (...[, , , kind, cause]: readonly number[]) =>
      void records.push([TRACE_KINDS[kind!]!.name, cause!]),
    actor: () => {},
  }
  const trace = new Trace(sink, () => 0)
  return {
    records,
    vp(index) {
      const words = { report: VpReport.NONE as VpReport, grant: () => {}, revoke: () => {} }
      const grant = tracedGrant(trace, 2, index, words)
      const say = (report: VpReport): void => {
        words.report = report
        expect(grant.report).toBe(report)
      }
      return { grant, say }
    },
  }
}

test('a VP is preempted once a grant, its answer frees the processor, and the next dispatch follows from that', () => {
  const { records, vp } = traced()
  const [a, b] = [vp(0), vp(1)]
  a.grant.grant(3, true)
  a.say(VpReport.RUNNING)
  a.grant.revoke()
  a.grant.revoke()
  a.say(VpReport.RUNNING)
  a.say(VpReport.READY)
  a.say(VpReport.READY)
  b.grant.grant(3, true)
  expect(records).toEqual([
    ['dispatch', 0],
    ['preempt', 0],
    ['stop', 2],
    ['dispatch', 3],
  ])
  a.grant.revoke()
  expect(records.length, 'a VP without a processor is not preempted').toBe(4)
})

test('a halt answers a preemption, and each grant has halts of its own', () => {
  const { records, vp } = traced()
  const { grant, say } = vp(0)
  grant.grant(0, true)
  grant.revoke()
  say(VpReport.HALTED)
  grant.grant(1, true)
  say(VpReport.HALTED)
  say(VpReport.READY)
  expect(records).toEqual([
    ['dispatch', 0],
    ['preempt', 0],
    ['halt', 2],
    ['stop', 2],
    ['dispatch', 0],
    ['halt', 0],
  ])
})

test('a VP that is deleted is removed, not preempted, and what it held is free', () => {
  const { records, vp } = traced()
  const [a, b] = [vp(0), vp(1)]
  a.grant.grant(0, true)
  a.grant.revoke(true)
  b.grant.grant(0, true)
  expect(records).toEqual([
    ['dispatch', 0],
    ['remove', 0],
    ['dispatch', 2],
  ])
})
