// A machine guest in virtual time is the same to the last byte whenever it runs: its time is what it executed, its chance is handed in, and
// blocks become code at fixed points.

import { createHash } from 'node:crypto'

import { ManualClock } from '@guestyard/engine'
import { SyntheticMsr } from '@guestyard/hvdef'
import { afterEach, expect, test, vi } from 'vitest'

import { IDT, i32, tinyMachine, withHandler, x86 } from './tiny-machine.ts'

const SUMS = 0x18_0000
const TICKS = SUMS + 8
const VECTOR = 0xed
const ROUNDS = 100_000
const UNITS_PER_TICK = 10_000

afterEach(() => {
  vi.restoreAllMocks()
})

/** Adds up its TSC and its random numbers, long enough to be compiled, while a timer interrupts it each millisecond. */
const BUSY_KERNEL = [
  ...x86.lidt(IDT),
  ...[...x86.movEax(0x1ff), ...x86.storeEax(0xfee0_00f0)],
  // Synthetic timer 0: direct mode, auto-enable, periodic.
  ...[...x86.movEcx(SyntheticMsr.STIMER0_CONFIG), ...x86.movEdx(0)],
  ...[...x86.movEax((1 << 12) | (VECTOR << 4) | (1 << 3) | (1 << 1)), ...x86.wrmsr],
  ...[...x86.movEcx(SyntheticMsr.STIMER0_COUNT), ...x86.movEax(UNITS_PER_TICK), ...x86.movEdx(0)],
  ...[...x86.wrmsr, ...x86.sti],
  ...[0xbe, ...i32(ROUNDS)], //            mov esi, ROUNDS
  ...[...x86.rdtsc, 0x01, 0x05, ...i32(SUMS)], // again: rdtsc; add [SUMS], eax
  ...[0x0f, 0xc7, 0xf0], //                rdrand eax
  ...[0x31, 0x05, ...i32(SUMS + 4)], //    xor [SUMS + 4], eax
  ...[0x4e, 0x75, 0xec], //                dec esi; jnz again
  ...x86.hlt,
  ...x86.exit(9),
]

/** pusha; inc [TICKS]; rdtsc; add [TICKS + 4], eax; EOI; popa; iret */
const TICK_HANDLER = [
  ...[0x60, 0xff, 0x05, ...i32(TICKS), ...x86.rdtsc, 0x01, 0x05, ...i32(TICKS + 4)],
  ...[0x31, 0xc0, ...x86.storeEax(0xfee0_00b0), 0x61, 0xcf],
]

/** What a run leaves: all that can differ. */
async function busyRun() {
  const virtual = new ManualClock()
  const { run, memory, machine } = await tinyMachine(BUSY_KERNEL, { virtual })
  withHandler(memory, VECTOR, TICK_HANDLER)
  const end = run(100_000)
  return {
    end,
    counters: machine.inspect(),
    now100ns: virtual.now100ns,
    ticks: memory.view.getUint32(TICKS, true),
    ram: createHash('sha256').update(memory.u8.slice()).digest('hex'),
  }
}

test('two runs leave the same counters, the same time and the same RAM', async () => {
  const first = await busyRun()
  const hostTime = vi.spyOn(performance, 'now').mockImplementation(() => 12_345_678)
  vi.spyOn(Date, 'now').mockImplementation(() => 4e12)
  const second = await busyRun()
  expect(second).toEqual(first)
  expect(first.end).toEqual({ is: 'exited', code: 9 })
  // It was interrupted, and not at the speed of the host.
  expect(first.ticks).toBeGreaterThan(5)
  expect(first.counters.instructions).toBeGreaterThan(5 * ROUNDS)
  expect(hostTime).toHaveBeenCalledTimes(0)
})

test('an instruction takes a nanosecond, and a look at the clock a hundred', async () => {
  const virtual = new ManualClock()
  // mov ecx, 1000; again: dec ecx; jnz again; rdtsc; rdtsc; hlt
  const code = [...x86.movEcx(1000), 0x49, 0x75, 0xfd, ...x86.rdtsc, ...x86.rdtsc, ...x86.hlt]
  const { run, machine, lastSliceNs } = await tinyMachine(code, { virtual })
  expect(run(1)).toMatchObject({ is: 'stopped' })
  const { instructions } = machine.inspect()
  expect(instructions).toBeGreaterThan(2000)
  const looksNs = lastSliceNs() - instructions
  expect(looksNs % 100).toBe(0)
  expect(looksNs).toBeGreaterThanOrEqual(200)
  expect(looksNs).toBeLessThan(2000)
})

test('a guest that waits by reading its TSC goes on', async () => {
  const virtual = new ManualClock()
  // rdtsc; add eax, 256,000 (100 µs); mov ebx, eax; again: rdtsc; sub eax, ebx; js again
  const wait = [
    ...x86.rdtsc,
    0x05,
    ...i32(256_000),
    0x89,
    0xc3,
    ...x86.rdtsc,
    0x29,
    0xd8,
    0x78,
    0xfa,
  ]
  const { run } = await tinyMachine([...wait, ...x86.hlt], { virtual })
  expect(run(1)).toMatchObject({ is: 'stopped' })
  expect(virtual.nowMs).toBeGreaterThanOrEqual(0.1)
  expect(virtual.nowMs).toBeLessThan(0.2)
})
