// A machine that is saved between two slices and goes on in another partition, by another hypervisor, ends as one that was never saved.

import { ManualClock } from '@guestyard/engine'
import { SyntheticMsr } from '@guestyard/hvdef'
import { SavedStateError } from '@guestyard/x86-partition'
import { expect, test } from 'vitest'

import { IDT, i32, tinyMachine, withHandler, x86, type TinySave } from './tiny-machine.ts'

const SUM = 0x18_0000
const TICKS = SUM + 8
const VECTOR = 0xed
const ROUNDS = 3_000_000
const UNITS_PER_TICK = 10_000

/** esi and eax go through ROUNDS steps of a generator, while a synthetic timer interrupts it each millisecond; the sum goes to SUM. */
const KERNEL = [
  ...x86.lidt(IDT),
  ...[...x86.movEax(0x1ff), ...x86.storeEax(0xfee0_00f0)],
  ...[...x86.movEcx(SyntheticMsr.STIMER0_CONFIG), ...x86.movEdx(0)],
  ...[...x86.movEax((1 << 12) | (VECTOR << 4) | (1 << 3) | (1 << 1)), ...x86.wrmsr],
  ...[...x86.movEcx(SyntheticMsr.STIMER0_COUNT), ...x86.movEax(UNITS_PER_TICK), ...x86.movEdx(0)],
  ...[...x86.wrmsr, ...x86.sti],
  ...[0xbe, ...i32(ROUNDS)], //              mov esi, ROUNDS
  ...x86.movEax(1),
  ...[0x69, 0xc0, ...i32(0x9e37_79b1)], //   again: imul eax, eax, 0x9e3779b1
  ...[0x01, 0xf0], //                        add eax, esi
  ...[0x4e, 0x75, 0xf5], //                  dec esi; jnz again
  ...x86.storeEax(SUM),
  ...x86.exit(9),
]

/** pusha; inc [TICKS]; EOI; popa; iret */
const TICK_HANDLER = [
  ...[0x60, 0xff, 0x05, ...i32(TICKS)],
  ...[0x31, 0xc0, ...x86.storeEax(0xfee0_00b0), 0x61, 0xcf],
]

function expectedSum(): number {
  let sum = 1
  for (let left = ROUNDS; left > 0; left -= 1) sum = (Math.imul(sum, 0x9e37_79b1) + left) | 0
  return sum >>> 0
}

async function savedAfter(slices: number): Promise<TinySave> {
  const { some, save, memory, machine } = await tinyMachine(KERNEL, { virtual: new ManualClock() })
  withHandler(memory, VECTOR, TICK_HANDLER)
  some(slices)
  expect(machine.end).toBeNull()
  return save()
}

test.each([1, 3, 6])('saved after %i slices, it ends as it would have', async (slices) => {
  const saved = await savedAfter(slices)
  // Another machine's clock is somewhere else altogether.
  const virtual = new ManualClock()
  virtual.advance100ns(123_456_789)
  const { run, memory, partition } = await tinyMachine(KERNEL, { virtual, saved })
  const ticksBefore = memory.view.getUint32(TICKS, true)
  expect(partition.referenceTime).toBe(saved.referenceTime100ns)
  expect(run(100_000)).toEqual({ is: 'exited', code: 9 })
  expect(memory.view.getUint32(SUM, true)).toBe(expectedSum())
  expect(memory.view.getUint32(TICKS, true)).toBeGreaterThan(ticksBefore)
})

test('saved again and again, it loses nothing', async () => {
  let saved = await savedAfter(1)
  for (let times = 0; times < 3; times += 1) {
    const part = await tinyMachine(KERNEL, { virtual: new ManualClock(), saved })
    part.some(1)
    expect(part.machine.end).toBeNull()
    saved = part.save()
  }
  const { run, memory } = await tinyMachine(KERNEL, { virtual: new ManualClock(), saved })
  expect(run(100_000)).toEqual({ is: 'exited', code: 9 })
  expect(memory.view.getUint32(SUM, true)).toBe(expectedSum())
})

test('a machine that has ended is not saved', async () => {
  const { run, save } = await tinyMachine(x86.exit(3), { virtual: new ManualClock() })
  run()
  expect(save).toThrow(SavedStateError)
})

test('what is no state of this version is refused, by one line', async () => {
  const saved = await savedAfter(1)
  const { machine } = saved
  const wrong = [
    { ...machine, version: 2 },
    { ...machine, deviceMs: Number.NaN },
    { ...machine, processor: machine.processor.slice(0, 100) },
    { ...machine, processor: machine.processor.map((byte) => byte ^ 0x5a) },
    { ...machine, vp: { ...machine.vp, version: 7 } },
    { ...machine, vp: { ...machine.vp, timers: [] } },
    { ...machine, vp: { ...machine.vp, msrs: [{ msr: 0x10, low: 0, high: 0 }] } },
  ]
  for (const one of wrong) {
    const refused = tinyMachine(KERNEL, {
      virtual: new ManualClock(),
      saved: { ...saved, machine: one },
    })
    await expect(refused).rejects.toThrow(SavedStateError)
  }
})
