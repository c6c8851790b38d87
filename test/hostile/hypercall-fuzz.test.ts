// The short run of scripts/hypercall-fuzz.ts.

import { describe, expect, test } from 'vitest'

import { HypercallFuzzer } from './hypercall-fuzzer.ts'

describe('any hypercall with any input', () => {
  test.each([1, 2, 3, 4])(
    'is answered, writes nothing but its output, and loses no page (seed %i)',
    (seed) => {
      const fuzzer = new HypercallFuzzer(seed)
      fuzzer.run(4_000)
      expect(fuzzer.report().inputs).toBe(4_000)
    },
  )

  test('the same seed makes the same calls', () => {
    const reports = [1, 2].map(() => {
      const fuzzer = new HypercallFuzzer(77)
      fuzzer.run(1_000)
      return fuzzer.report()
    })
    expect(reports[0]).toEqual(reports[1])
  })

  test('the inputs are not all refused at the door', () => {
    const succeeded = new Set<string>()
    for (let seed = 100; seed < 108; seed += 1) {
      const fuzzer = new HypercallFuzzer(seed)
      fuzzer.run(2_500)
      for (const name of fuzzer.report().succeeded) succeeded.add(name)
    }
    expect(succeeded.size).toBeGreaterThan(15)
    for (const name of [
      'HvCallCreatePartition',
      'HvCallFinalizePartition',
      'HvCallSetPartitionProperty',
      'HvCallDepositMemory',
      'HvCallWithdrawMemory',
    ]) {
      expect([...succeeded]).toContain(name)
    }
  })
})
