import { describe, expect, test } from 'vitest'

import { BootGate } from '../src/vmms/boot-gate.ts'

const NEVER = new AbortController().signal

/** What was admitted so far, by the number of its call. */
function queue(slots: number, calls: number) {
  const gate = new BootGate(slots)
  const admitted: number[] = []
  const leaves: (() => void)[] = []
  const aborts = Array.from({ length: calls }, () => new AbortController())
  const entries = aborts.map((abort, call) =>
    gate.enter(abort.signal).then(
      (leave) => {
        admitted.push(call)
        leaves[call] = leave
      },
      () => {},
    ),
  )
  return { gate, admitted, leaves, aborts, entries }
}

describe('a boot gate', () => {
  test('admits as many as it has slots, and the next in order when one leaves', async () => {
    const { admitted, leaves, entries } = queue(2, 4)
    await Promise.all(entries.slice(0, 2))
    expect(admitted).toEqual([0, 1])
    leaves[1]!()
    await entries[2]
    expect(admitted).toEqual([0, 1, 2])
  })

  test('gives one place for one leaving, however often it is said', async () => {
    const { gate, admitted, leaves, entries } = queue(1, 3)
    await entries[0]
    leaves[0]!()
    leaves[0]!()
    await entries[1]
    expect(admitted).toEqual([0, 1])
    leaves[1]!()
    await entries[2]
    leaves[2]!()
    const leave = await gate.enter(NEVER)
    leave()
  })

  test('forgets whoever gives up waiting, and admits the one behind it', async () => {
    const { admitted, aborts, leaves, entries } = queue(1, 3)
    await entries[0]
    aborts[1]!.abort()
    await entries[1]
    leaves[0]!()
    await entries[2]
    expect(admitted).toEqual([0, 2])
  })

  test('refuses whoever has given up before asking', async () => {
    await expect(new BootGate(1).enter(AbortSignal.abort(new Error('no')))).rejects.toThrow('no')
  })
})
