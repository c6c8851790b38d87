import { expect, test } from 'vitest'

import {
  CPU_PROPERTIES_DEFAULT,
  Simulation,
  performanceCounters,
  type SchedulerInspection,
} from '../src/index.ts'

const SECOND = 10_000_000

function machine(): Simulation {
  const vp = (partitionId: number, weight: number) => ({
    partitionId,
    vpIndex: 0,
    properties: { ...CPU_PROPERTIES_DEFAULT, weight },
  })
  const options = { policy: 'classic', logicalProcessors: 1 } as const
  return new Simulation(options, [vp(2, 100), vp(3, 300)])
}

/** As if the VPs had said what they counted. */
function counted(seen: SchedulerInspection, hypercalls: number): SchedulerInspection {
  const counters = {
    hypercalls,
    interrupts: 20,
    longSpinWaits: 0,
    intercepts: 2,
    ioInterceptMessages: hypercalls,
    memoryInterceptMessages: 1,
    otherMessages: 0,
  }
  return { ...seen, vps: seen.vps.map((vp) => ({ ...vp, counters })) }
}

test('two inspections make rates under the names of the counter sets', () => {
  const simulation = machine()
  simulation.runUntil(SECOND)
  const before = simulation.inspect()
  simulation.runUntil(3 * SECOND)
  const counters = performanceCounters(before, simulation.inspect())
  const small = counters.virtualProcessors['2:Hv VP 0']!
  expect(small['% Guest Run Time']).toBeCloseTo(25, 0)
  // A slice of its own, three of the other's: it waits for 6 ms.
  expect(small['CPU Wait Time Per Dispatch']).toBeCloseTo(6e6, -5)
  expect(small['Logical Processor Dispatches/sec']).toBeCloseTo(125, -1)
  expect(small['Hypercalls/sec']).toBeUndefined()
  const lp = counters.logicalProcessors['Hv LP 0']!
  expect(lp['% Total Run Time']).toBeCloseTo(100, 5)
  expect(lp['% Idle Time']).toBeCloseTo(0, 5)
  expect(lp['Context Switches/sec']).toBeCloseTo(250, -1)
})

test('what the VPs counted goes round at 32 bits, and a VP that is new has no rates yet', () => {
  const simulation = machine()
  simulation.runUntil(SECOND)
  const before = counted(simulation.inspect(), 2 ** 32 - 10)
  simulation.runUntil(2 * SECOND)
  const after = counted(simulation.inspect(), 30)
  const { virtualProcessors } = performanceCounters(before, after)
  expect(virtualProcessors['2:Hv VP 0']).toMatchObject({
    'Hypercalls/sec': 40,
    'Virtual Interrupts/sec': 0,
    'IO Intercept Messages/sec': 40,
    'Memory Intercept Messages/sec': 0,
    'Other Messages/sec': 0,
  })
  const without = { ...before, vps: before.vps.slice(1) }
  expect(Object.keys(performanceCounters(without, after).virtualProcessors)).toEqual(['3:Hv VP 0'])
})

test('under the root policy no logical processor is said to be idle: nobody here knows', () => {
  const vp = { partitionId: 2, vpIndex: 0, properties: CPU_PROPERTIES_DEFAULT }
  const simulation = new Simulation({ policy: 'root', logicalProcessors: 1 }, [vp])
  const before = simulation.inspect()
  simulation.runUntil(SECOND)
  const counters = performanceCounters(before, simulation.inspect())
  expect(counters.logicalProcessors).toEqual({})
  expect(Object.keys(counters.virtualProcessors)).toEqual(['2:Hv VP 0'])
})
