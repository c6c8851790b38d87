// What leaves guest code reaches the hypervisor, and comes back as registers, interrupts and pages: shown by kernels of a few
// instructions that run on the processor itself.

import { HvStatus, SyntheticMsr } from '@guestyard/hvdef'
import { expect, test } from 'vitest'

import { IDT, RAM_BYTES, i32, tinyMachine, withHandler, x86 } from './tiny-machine.ts'

const RESULT = 0x18_0000
const HYPERCALL_PAGE = 0x18_1000

/** Turns the hypercall page on. */
const ENLIGHTEN = [
  ...[...x86.movEcx(SyntheticMsr.GUEST_OS_ID), ...x86.movEax(1), ...x86.movEdx(0x8100_0000)],
  ...x86.wrmsr,
  ...[...x86.movEcx(SyntheticMsr.HYPERCALL), ...x86.movEax(HYPERCALL_PAGE | 1), ...x86.movEdx(0)],
  ...x86.wrmsr,
]

test('leaf 1 is the processor’s own, with the hypervisor’s bit', async () => {
  const { run, memory } = await tinyMachine([
    ...[...x86.movEax(1), ...x86.cpuid, ...x86.storeEdx(RESULT)],
    ...[0x89, 0x0d, ...i32(RESULT + 4)], // mov [RESULT + 4], ecx
    ...x86.exit(0),
  ])
  run()
  // FPU, TSC and MSR are what every kernel looks for.
  expect(memory.view.getUint32(RESULT, true) & 0x31).toBe(0x31)
  expect(memory.view.getUint32(RESULT + 4, true) >>> 31).toBe(1)
})

test('the features are those of the partition, and say nothing of an APIC by MSR', async () => {
  const { run, memory } = await tinyMachine([
    ...[...x86.movEax(0x4000_0004), ...x86.cpuid, ...x86.storeEax(RESULT), ...x86.exit(0)],
  ])
  run()
  expect(memory.view.getUint32(RESULT, true) & 0x8).toBe(0)
})

test('an unknown synthetic MSR is #GP, and the guest goes on', async () => {
  const { run, memory, machine } = await tinyMachine([
    ...x86.lidt(IDT),
    ...[...x86.movEcx(0x4000_01ff), ...x86.rdmsr, ...x86.exit(1)],
  ])
  withHandler(memory, 13, x86.exit(2))
  expect(run()).toEqual({ is: 'exited', code: 2 })
  expect(machine.inspect()).toMatchObject({ refusedMsrs: 1, lastRefusedMsr: 0x4000_01ff })
})

test('a hypercall through the page answers in EDX:EAX', async () => {
  const { run, memory, vp } = await tinyMachine([
    ...ENLIGHTEN,
    // HvCallSignalEvent, fast: connection 0x1234 is nobody's.
    ...[...x86.movEdx(0), ...x86.movEbx(0), ...x86.movEcx(0x1234)],
    ...[0xbe, ...i32(0), 0xbf, ...i32(0)], // mov esi, 0; mov edi, 0
    ...[0x68, ...i32(HYPERCALL_PAGE), ...x86.movEax(0x1_005d)], // push HYPERCALL_PAGE
    ...[0xff, 0x14, 0x24], // call [esp]
    ...[...x86.storeEax(RESULT), ...x86.storeEdx(RESULT + 4), ...x86.exit(0)],
  ])
  run()
  expect(memory.view.getUint32(RESULT, true)).toBe(HvStatus.INVALID_CONNECTION_ID)
  expect(memory.view.getUint32(RESULT + 4, true)).toBe(0)
  expect(vp.hypercallCount).toBe(1)
})

test('the TSC and the reference TSC page tell the same time', async () => {
  const page = 0x18_4000
  const { run, memory } = await tinyMachine([
    ...[...x86.movEcx(SyntheticMsr.REFERENCE_TSC), ...x86.movEax(page | 1), ...x86.movEdx(0)],
    ...x86.wrmsr,
    ...[...x86.rdtsc, ...x86.storeEax(RESULT), ...x86.storeEdx(RESULT + 4)],
    ...[...x86.movEcx(SyntheticMsr.TIME_REF_COUNT), ...x86.rdmsr],
    ...[...x86.storeEax(RESULT + 8), ...x86.storeEdx(RESULT + 12)],
    ...x86.exit(0),
  ])
  run()
  const [tsc, reference] = [0, 8].map((at) => memory.view.getBigUint64(RESULT + at, true))
  const scale = memory.view.getBigUint64(page + 8, true)
  const offset = memory.view.getBigInt64(page + 16, true)
  const fromTsc = BigInt.asIntN(64, ((tsc! * scale) >> 64n) + offset)
  const apart = Number(BigInt.asIntN(64, reference!) - fromTsc)
  // The MSR is read after the TSC; both count 100 ns, and the instructions between them take less than a second.
  expect(apart).toBeGreaterThanOrEqual(-1)
  expect(apart).toBeLessThan(10_000_000)
})

test('a synthetic timer in direct mode interrupts a halted processor', async () => {
  const vector = 0xed
  const { run, memory, machine } = await tinyMachine([
    ...x86.lidt(IDT),
    // The processor's own APIC is on: spurious-interrupt vector register, bit 8.
    ...[...x86.movEax(0x1ff), ...x86.storeEax(0xfee0_00f0)],
    // Direct mode, auto-enable, this vector; 1 ms from now.
    ...[...x86.movEcx(SyntheticMsr.TIME_REF_COUNT), ...x86.rdmsr, 0x05, ...i32(10_000)],
    ...[0x89, 0xc6, 0x89, 0xd7], // mov esi, eax; mov edi, edx
    ...[...x86.movEcx(SyntheticMsr.STIMER0_CONFIG), ...x86.movEdx(0)],
    ...[...x86.movEax((1 << 12) | (vector << 4) | (1 << 3)), ...x86.wrmsr],
    ...[...x86.movEcx(SyntheticMsr.STIMER0_COUNT), 0x89, 0xf0, 0x89, 0xfa, ...x86.wrmsr],
    ...[...x86.sti, ...x86.hlt, ...x86.exit(1)],
  ])
  withHandler(memory, vector, x86.exit(9))
  expect(run(100_000)).toEqual({ is: 'exited', code: 9 })
  expect(machine.inspect().interrupts).toBe(1)
})

test('the root’s event flag reaches a machine guest as its vector', async () => {
  const vector = 0xf3
  const { run, memory, partition, hypervisor, machine } = await tinyMachine([
    ...x86.lidt(IDT),
    ...[...x86.movEax(0x1ff), ...x86.storeEax(0xfee0_00f0)],
    ...[SyntheticMsr.SIEFP, SyntheticMsr.SIMP].flatMap((msr, index) => [
      ...[...x86.movEcx(msr), ...x86.movEax((0x18_6000 + index * 0x1000) | 1)],
      ...[...x86.movEdx(0), ...x86.wrmsr],
    ]),
    ...[...x86.movEcx(SyntheticMsr.SINT0 + 2), ...x86.movEax(vector), ...x86.movEdx(0)],
    ...x86.wrmsr,
    ...[...x86.movEcx(SyntheticMsr.SCONTROL), ...x86.movEax(1), ...x86.movEdx(0), ...x86.wrmsr],
    ...[...x86.sti, ...x86.hlt, ...x86.exit(1)],
  ])
  withHandler(memory, vector, x86.exit(3))
  for (let slice = 0; slice < 50 && machine.inspect().slices === slice; slice += 1) machine.poll(1)
  partition.signalEventToVp(0, 2, 7)
  hypervisor.poll(16)
  expect(run()).toEqual({ is: 'exited', code: 3 })
  // Flag 7 of SINT 2 in the page that the guest named.
  expect(memory.u8[0x18_6000 + 2 * 256]).toBe(0x80)
})

test('a machine without a grant runs nothing, and goes on when it is given one', async () => {
  const { machine, partition, run } = await tinyMachine(x86.exit(5))
  partition.vps[0]!.dispatch.revoke()
  for (let poll = 0; poll < 10; poll += 1) expect(machine.poll(1)).toBe(0)
  expect(machine.inspect().instructions).toBe(0)
  partition.vps[0]!.dispatch.grant(1, true)
  expect(run()).toEqual({ is: 'exited', code: 5 })
})

test('ports of the embedder come first, and what nobody serves reads as ones', async () => {
  const written: number[] = []
  const { run, memory } = await tinyMachine(
    [
      ...[0xb8, ...i32(0x1234_5678), 0x66, 0xba, 0x00, 0x05, 0xef], // out 0x500, eax
      ...[0x66, 0xba, 0x04, 0x05, 0xed, ...x86.storeEax(RESULT)], //   in eax, 0x504
      ...[0x66, 0xba, 0xf8, 0x0c, 0xed, ...x86.storeEax(RESULT + 4)], // in eax, 0xcf8: no PCI
      ...x86.exit(0),
    ],
    {
      ports: {
        read: (port, bytes) => (port === 0x504 ? bytes : undefined),
        write: (port, value, bytes) => port === 0x500 && written.push(value, bytes) > 0,
      },
    },
  )
  run()
  expect(written).toEqual([0x1234_5678, 4])
  expect(memory.view.getUint32(RESULT, true)).toBe(4)
  expect(memory.view.getUint32(RESULT + 4, true)).toBe(0xffff_ffff)
})

test.each([
  ['the reset register', [0x66, 0xba, 0xf9, 0x0c, 0xb0, 6, 0xee], { is: 'reset' }],
  ['the keyboard controller', [0xb0, 0xfe, 0xe6, 0x64], { is: 'reset' }],
  [
    'sleep type S5',
    [0x66, 0xba, 0x04, 0xb0, 0x66, 0xb8, 0x00, 0x34, 0x66, 0xef],
    { is: 'powered-off' },
  ],
  ['HLT with interrupts off', [0xf4], { is: 'stopped', detail: 'halted for good' }],
] as const)('%s ends the machine', async (_name, code, end) => {
  const { run } = await tinyMachine([...code, 0xeb, 0xfe])
  expect(run()).toEqual(end)
})

test('a guest that only ticks is let sleep through ticks, and wakes at once for what is typed', async () => {
  const vector = 0xed
  const { machine, memory, vp, tick } = await tinyMachine([
    ...x86.lidt(IDT),
    ...[...x86.movEax(0x1ff), ...x86.storeEax(0xfee0_00f0)],
    // Direct mode, periodic, enabled, this vector; every millisecond.
    ...[...x86.movEcx(SyntheticMsr.STIMER0_COUNT), ...x86.movEax(10_000), ...x86.movEdx(0)],
    ...[...x86.wrmsr, ...x86.movEcx(SyntheticMsr.STIMER0_CONFIG)],
    ...[...x86.movEax((1 << 12) | (vector << 4) | 0b11), ...x86.wrmsr],
    ...[...x86.sti, ...x86.hlt, 0xeb, 0xfc], // again: sti; hlt; jmp again
  ])
  // EOI of the processor's APIC; iret.
  withHandler(memory, vector, [...x86.movEax(0), ...x86.storeEax(0xfee0_00b0), 0xcf])
  const origin = performance.now()
  // How much later than its timer the machine lets itself be woken.
  const slacks: number[] = []
  while (slacks.length < 136 && performance.now() - origin < 10_000) {
    tick()
    if (machine.poll(1) === 0) continue
    slacks.push(Math.round(machine.nextDeadlineMs() - vp.nextDeadline100ns / 10_000))
  }
  // Its own devices may want to be looked at sooner than its timer.
  expect(Math.max(...slacks.slice(0, 50))).toBe(1)
  expect(Math.max(...slacks.slice(80, 110))).toBe(16)
  expect(slacks.at(-1)).toBe(64)
  machine.sendSerial(0, Uint8Array.of(0x61))
  expect(machine.poll(1)).toBe(1)
})

test('a fault without a handler ends the machine, and nothing else', async () => {
  // No IDT at all: a breakpoint becomes a triple fault.
  const { run, machine } = await tinyMachine([...x86.lidt(IDT), 0xcc, ...x86.exit(1)])
  expect(run()).toMatchObject({ is: 'stopped', detail: expect.stringContaining('fault') })
  expect(machine.poll(1)).toBe(0)
})

test('a kernel is told of its memory by multiboot', async () => {
  // The loader hands the information over in ebx: mem_lower and mem_upper in KiB.
  const { run, memory } = await tinyMachine([
    ...[0x8b, 0x43, 0x04, ...x86.storeEax(RESULT)],
    ...[0x8b, 0x43, 0x08, ...x86.storeEax(RESULT + 4), ...x86.exit(0)],
  ])
  run()
  expect(memory.view.getUint32(RESULT, true)).toBe(639)
  expect(memory.view.getUint32(RESULT + 4, true)).toBe(RAM_BYTES / 1024 - 1024)
})
