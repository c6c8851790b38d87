// Dispatch by itself, with rows made up for what they show.

import { GuestMemory } from '@guestyard/guestmem'
import { HvStatus, PAGE_SIZE, hypercallInputHigh, hypercallInputLow } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  HYPERCALL_CONTINUED,
  HYPERCALL_REGISTER_WORDS,
  HypercallDispatch,
  REPS_PER_INVOCATION_MAX,
} from '../src/hypercalls.ts'
import type { HypercallRow } from '../src/hypercalls.ts'

const CODE = 0x77
const INPUT = PAGE_SIZE
const OUTPUT = 2 * PAGE_SIZE
/** What an element of this value does. */
const REFUSED = 0xdead

interface Sum {
  added: number[]
}

/** Adds the header to each element, and says the sum. */
const ADD: HypercallRow<Sum> = {
  name: 'HvCallGetVpIndexFromApicId',
  code: CODE,
  input: null,
  rep: true,
  inputBytes: 8,
  elementBytes: 4,
  outputBytes: 0,
  outputElementBytes: 4,
  variableHeader: true,
  privilege: null,
  invoke(sum, blocks) {
    const value = blocks.input[blocks.elementWord]!
    if (value === REFUSED) return HvStatus.INVALID_PARAMETER
    let header = blocks.input[0]!
    for (let word = 0; word < blocks.variableQwords * 2; word += 2) {
      header += blocks.input[blocks.variableWord + word]!
    }
    sum.added.push(value)
    blocks.output[blocks.outputWord] = (header + value) | 0
    return HvStatus.SUCCESS
  },
}

/** Echoes 24 bytes. */
const ECHO: HypercallRow<Sum> = {
  ...ADD,
  code: CODE + 1,
  rep: false,
  inputBytes: 24,
  elementBytes: 0,
  outputBytes: 24,
  outputElementBytes: 0,
  variableHeader: false,
  invoke(_, { input, output }) {
    for (let word = 0; word < 6; word++) output[word] = input[word]!
    return HvStatus.SUCCESS
  },
}

class Bench {
  readonly memory: GuestMemory = GuestMemory.create({ sizeBytes: 65_536 })
  readonly sum: Sum = { added: [] }
  readonly dispatch: HypercallDispatch<Sum> = new HypercallDispatch(
    [ADD, ECHO],
    { low: 0, high: 0 },
    this.memory,
    this.sum,
  )

  put(header: number, variable: readonly number[], elements: readonly number[]): void {
    const { view } = this.memory
    view.setUint32(INPUT, header, true)
    variable.forEach((value, i) => view.setUint32(INPUT + 8 + i * 8, value, true))
    const at = INPUT + 8 + variable.length * 8
    elements.forEach((value, i) => view.setUint32(at + i * 4, value, true))
  }

  add(count: number, start = 0, variableQwords = 0, input = INPUT): number {
    const low = hypercallInputLow(CODE, false, variableQwords)
    return this.dispatch.call(low, hypercallInputHigh(count, start), input, 0, OUTPUT, 0)
  }

  outputs(count: number): number[] {
    return [...this.memory.i32.subarray(OUTPUT / 4, OUTPUT / 4 + count)]
  }
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('rep calls (TLFS, "Hypercall Interface", rep hypercalls)', () => {
  test('a rep count of 0 and a start at the count are INVALID_HYPERCALL_INPUT', () => {
    const bench = new Bench()
    expect(bench.add(0)).toBe(HvStatus.INVALID_HYPERCALL_INPUT)
    expect(bench.add(4, 4)).toBe(HvStatus.INVALID_HYPERCALL_INPUT)
    expect(bench.add(4, 3)).toBe(HvStatus.SUCCESS)
  })

  test('reserved bits beside the counts are INVALID_HYPERCALL_INPUT', () => {
    const { dispatch } = new Bench()
    for (const bit of [0x1000, 0x8000, 0x1000_0000, 0x8000_0000]) {
      const high = (hypercallInputHigh(4, 0) | bit) >>> 0
      expect(dispatch.call(CODE, high, INPUT, 0, OUTPUT, 0)).toBe(HvStatus.INVALID_HYPERCALL_INPUT)
    }
  })

  test('reps completed count from element 0, though the call began later', () => {
    const bench = new Bench()
    bench.put(100, [], range(8))
    expect(bench.add(8, 5)).toBe(HvStatus.SUCCESS)
    expect(bench.dispatch.repsCompleted).toBe(8)
    expect(bench.sum.added).toEqual([5, 6, 7])
    expect(bench.outputs(8)).toEqual([0, 0, 0, 0, 0, 105, 106, 107])
  })

  test('an element that fails ends the call with its status; those before it are done', () => {
    const bench = new Bench()
    bench.put(0, [], [1, 2, REFUSED, 4])
    expect(bench.add(4)).toBe(HvStatus.INVALID_PARAMETER)
    expect(bench.dispatch.repsCompleted).toBe(2)
    expect(bench.outputs(4)).toEqual([1, 2, 0, 0])
    expect(bench.add(4, 3)).toBe(HvStatus.SUCCESS)
    expect(bench.outputs(4)).toEqual([1, 2, 0, 4])
  })

  test('a long call gives the processor back, and done again with its new start it ends whole', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.nat(), (count, from) => {
        const bench = new Bench()
        const start = from % count
        bench.put(7, [], range(count))
        let high = hypercallInputHigh(count, start)
        let status = HYPERCALL_CONTINUED as number
        let calls = 0
        while (status === HYPERCALL_CONTINUED) {
          status = bench.dispatch.call(CODE, high, INPUT, 0, OUTPUT, 0)
          high = bench.dispatch.continuedHigh
          calls++
          if (status === HYPERCALL_CONTINUED) {
            expect(bench.dispatch.repsCompleted).toBe(start + calls * REPS_PER_INVOCATION_MAX)
          }
        }
        expect(status).toBe(HvStatus.SUCCESS)
        expect(calls).toBe(Math.ceil((count - start) / REPS_PER_INVOCATION_MAX))
        expect(bench.dispatch.repsCompleted).toBe(count)
        expect(bench.sum.added).toEqual(range(count).slice(start))
        expect(bench.outputs(count)).toEqual(range(count).map((i) => (i < start ? 0 : i + 7)))
      }),
    )
  })

  test('elements that change while the call is continued are read as they are then', () => {
    const bench = new Bench()
    bench.put(0, [], range(70))
    expect(bench.add(70)).toBe(HYPERCALL_CONTINUED)
    bench.put(0, [], range(70).fill(REFUSED))
    const high = bench.dispatch.continuedHigh
    expect(bench.dispatch.call(CODE, high, INPUT, 0, OUTPUT, 0)).toBe(HvStatus.INVALID_PARAMETER)
    expect(bench.dispatch.repsCompleted).toBe(64)
  })

  test('a list that does not fit its page is INVALID_ALIGNMENT, by elements or by header', () => {
    const bench = new Bench()
    expect(bench.add(1022)).toBe(HYPERCALL_CONTINUED)
    expect(bench.add(1023)).toBe(HvStatus.INVALID_ALIGNMENT)
    expect(bench.add(1, 0, 0, INPUT + PAGE_SIZE - 16)).toBe(HvStatus.SUCCESS)
    expect(bench.add(3, 0, 0, INPUT + PAGE_SIZE - 16)).toBe(HvStatus.INVALID_ALIGNMENT)
    expect(bench.add(1, 0, 511)).toBe(HvStatus.INVALID_ALIGNMENT)
  })
})

test('elements follow the variable header (TLFS, variable sized input headers)', () => {
  const bench = new Bench()
  bench.put(1, [20, 300], [4, 5, 6])
  expect(bench.add(3, 0, 2)).toBe(HvStatus.SUCCESS)
  expect(bench.outputs(3)).toEqual([325, 326, 327])
})

describe('fast calls with XMM registers (TLFS, "XMM Fast Hypercall Input")', () => {
  const registers = () => Int32Array.from({ length: HYPERCALL_REGISTER_WORDS }, (_, i) => i + 1)

  test('input comes from the registers in order, output goes to the next multiple of 16 bytes', () => {
    const { dispatch } = new Bench()
    const words = registers()
    expect(dispatch.callWithRegisters(hypercallInputLow(CODE + 1, true), 0, words)).toBe(0)
    // 24 bytes of input end in the middle of XMM0: the output begins with XMM1.
    expect([...words.subarray(0, 8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect([...words.subarray(8, 14)]).toEqual([1, 2, 3, 4, 5, 6])
    expect([...words.subarray(14)]).toEqual([...registers().subarray(14)])
  })

  test('the same call without the registers is INVALID_HYPERCALL_INPUT', () => {
    const { dispatch } = new Bench()
    expect(dispatch.call(hypercallInputLow(CODE + 1, true), 0, 1, 2, 3, 4)).toBe(
      HvStatus.INVALID_HYPERCALL_INPUT,
    )
  })

  test('rep calls take elements from them, up to the 112 bytes that there are', () => {
    const { dispatch, sum } = new Bench()
    const low = hypercallInputLow(CODE, true)
    const words = registers()
    // 8 + 4 n in, 4 n out: eleven elements end at word 14, and their output takes 16 to 26.
    expect(dispatch.callWithRegisters(low, hypercallInputHigh(11, 0), words)).toBe(0)
    expect(sum.added).toEqual(range(11).map((i) => i + 3))
    expect([...words.subarray(16, 27)]).toEqual(range(11).map((i) => i + 4))
    expect(dispatch.callWithRegisters(low, hypercallInputHigh(14, 0), words)).toBe(
      HvStatus.INVALID_HYPERCALL_INPUT,
    )
  })

  test('a call that is not fast takes its GPAs from the first two', () => {
    const bench = new Bench()
    bench.put(9, [], [1])
    const words = registers()
    words.set([INPUT, 0, OUTPUT, 0])
    expect(bench.dispatch.callWithRegisters(CODE, hypercallInputHigh(1, 0), words)).toBe(0)
    expect(bench.outputs(1)).toEqual([10])
  })

  test('any input value with any registers gets an outcome, never throws, and touches no memory', () => {
    const bench = new Bench()
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
    const before = bench.memory.u8.slice()
    fc.assert(
      fc.property(u32, u32, fc.boolean(), (low, high, known) => {
        const value = ((known ? CODE : low & 0xffff) | (low & ~0xffff) | 0x1_0000) >>> 0
        const status = bench.dispatch.callWithRegisters(value, high, registers())
        expect(status).toBeGreaterThanOrEqual(HYPERCALL_CONTINUED)
        expect(status).toBeLessThanOrEqual(0xffff)
      }),
      { numRuns: 500 },
    )
    expect(bench.memory.u8).toEqual(before)
  })
})

test('a row counts its calls and failures; what dispatch refuses is counted by why', () => {
  const bench = new Bench()
  bench.put(0, [], [REFUSED])
  bench.add(1)
  bench.add(2, 1)
  bench.add(0)
  bench.add(1, 0, 0, INPUT + 4)
  bench.add(1, 0, 0, 1 << 20)
  bench.dispatch.call(0x99, 0, 0, 0, 0, 0)
  expect(bench.dispatch.counters.inspect()).toEqual({
    calls: [{ name: ADD.name, calls: 2, failures: 1 }],
    continued: 0,
    unknownCode: 1,
    accessDenied: 0,
    malformed: 1,
    misaligned: 1,
    notMemory: 1,
  })
})
