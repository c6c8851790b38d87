// A guest that scribbles on the words its VPs share, between anything that they and the root do: nobody throws, the root goes on, and
// a neighbour's VP is as it was.

import { HypercallCode, SyntheticMsr, hypercallInputLow } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  PARTITION_PAGE,
  REQUESTED,
  TIME_CONTROL,
  VP_BLOCK,
  vpBlock,
} from '../src/partition-page.ts'
import { VP_PAGE } from '../src/vp-page.ts'
import { Guest, INPUT_PAGE } from './guest.ts'

const M = SyntheticMsr
/** First words of what the pages share, and one inside each row. */
const partitionWords = PARTITION_PAGE.flatMap(({ word, count }) => [word, word + (count >> 1)])
const blockWords = VP_BLOCK.flatMap(({ word, count }) =>
  [0, 1].map((vp) => vpBlock(vp) + word + (count >> 1)),
)
const vpWords = VP_PAGE.flatMap(({ word, count }) => [word, word + (count >> 1)])

const value = fc.oneof(
  fc.integer(),
  fc.constantFrom(0, 1, -1, 0x8000_0000 | 0, 0x8000_0001 | 0, 0x8000_0041 | 0, 0x7fff_ffff),
)
const scribble = fc.oneof(
  fc.record({
    on: fc.constant('partition' as const),
    word: fc.constantFrom(...partitionWords, ...blockWords),
    value,
  }),
  fc.record({ on: fc.constant('vp' as const), word: fc.constantFrom(...vpWords), value }),
)
const placing = fc.record({
  on: fc.constant('msr' as const),
  msr: fc.constantFrom(M.SIMP, M.SIEFP, M.VP_ASSIST_PAGE, M.HYPERCALL, M.REFERENCE_TSC),
  vp: fc.nat(1),
  value: fc.constantFrom(0, 0x9001, 0xa001, 0xb001),
})
const act = fc.record({ on: fc.constant('act' as const), what: fc.nat(7), vp: fc.nat(1) })

function run(guest: Guest, what: number, vp: number): void {
  const target = guest.vps[vp]!
  const input = INPUT_PAGE * 4096
  switch (what) {
    case 0:
      target.deliver()
      break
    case 1:
      target.acknowledge(target.deliver())
      break
    case 2:
      target.endOfInterrupt()
      break
    case 3:
      target.writeMsr(M.ICR, 0x8_0041, 0)
      break
    case 4:
      target.hypercall(
        hypercallInputLow(HypercallCode.FLUSH_VIRTUAL_ADDRESS_SPACE, false),
        0,
        input,
        0,
        0,
        0,
      )
      break
    case 5:
      guest.partition.vps[vp]!.setLine(0x55, true)
      break
    case 6:
      guest.partition.setTimeFrozen(vp === 0)
      break
    default:
      if (target.intercepts.state === 'none') target.intercepts.beginMemoryRead(2 ** 31, 4)
      else target.intercepts.finish()
  }
}

describe('a guest that scribbles on its own pages', () => {
  test('costs itself what it scribbled on, and nobody an exception', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(scribble, placing, act, act), { maxLength: 60 }), (steps) => {
        const guest = new Guest({
          vpCount: 2,
          vp: () => ({ translations: { flush() {} } }),
        }).boot()
        const partition = new Int32Array(guest.partition.handlesFor(0)!.partitionPage)
        for (const step of steps) {
          const { page } = guest.partition.vps[0]!
          if (step.on === 'partition') Atomics.store(partition, step.word, step.value)
          else if (step.on === 'vp') Atomics.store(page, step.word, step.value)
          else if (step.on === 'msr') guest.vps[step.vp]!.writeMsr(step.msr, step.value, 0)
          else run(guest, step.what, step.vp)
          guest.hypervisor.poll(10)
        }
        const neighbour = new Guest().boot()
        neighbour.partition.vps[0]!.requestInterrupt(0x41, false)
        expect(neighbour.takeInterrupt()).toBe(0x41)
      }),
      { numRuns: 300 },
    )
  })

  test('that requests vectors below 16 of itself gets none of them taken', () => {
    const guest = new Guest().boot()
    const partition = new Int32Array(guest.partition.handlesFor(0)!.partitionPage)
    Atomics.store(partition, vpBlock(0) + REQUESTED, 0xffff)
    guest.partition.vps[0]!.requestInterrupt(0x1f, false)
    expect(guest.vp.deliver()).toBe(0x1f)
    expect(guest.vp.acknowledge(0x1f)).toBe(true)
    for (let vector = 0; vector < 16; vector++) expect(guest.vp.acknowledge(vector)).toBe(false)
  })

  test('that sets the time control reads the time that it set', () => {
    const guest = new Guest().boot()
    const partition = new BigInt64Array(guest.partition.handlesFor(0)!.partitionPage)
    Atomics.store(partition, TIME_CONTROL, (777n << 1n) | 1n)
    guest.vp.readMsr(M.TIME_REF_COUNT, guest.vp.msr)
    expect(guest.vp.msr.low).toBe(777)
    expect(guest.partition.referenceTime).toBe(0)
  })
})
