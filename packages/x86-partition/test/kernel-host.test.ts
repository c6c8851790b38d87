// Kernels that do what public test suites for hypervisors do, with an embedder at the other side of their SynIC.

import { HvStatus, SyntheticMsr, connectionId } from '@guestyard/hvdef'
import { KernelHost, multibootImage, type PortRange } from '@guestyard/x86-partition'
import { readProcessorModule } from '@guestyard/x86-partition/node'
import { expect, test } from 'vitest'

import { APIC_EOI, APIC_ON, LIDT, asm, handlers } from './assembler.ts'
import { RAM_BYTES, i32, kernelOf, x86 } from './tiny-machine.ts'

const HYPERCALL_PAGE = 0x18_1000
const [SIM, SIEF, INPUT, RESULT] = [0x18_6000, 0x18_7000, 0x18_8000, 0x18_9000]
const PATIENCE_MS = 10_000
const IDLE = [...x86.sti, ...x86.hlt, 0xeb, 0xfc] // again: sti; hlt; jmp again
const [EVENT_VECTOR, MESSAGE_VECTOR] = [0xf3, 0xf2]
const MESSAGE_SINT = 2
const EVENT_SINT = 3

function slot(sint: number): number {
  return SIM + sint * 256
}

/** call HYPERCALL_PAGE with EDX:EAX the call, EBX:ECX its input. */
function hypercall(call: number, low: number, high = 0): number[] {
  return [
    ...[...x86.movEcx(low), ...x86.movEbx(high), 0xbe, ...i32(0), 0xbf, ...i32(0)],
    ...[0x68, ...i32(HYPERCALL_PAGE), ...x86.movEdx(0), ...x86.movEax(call)],
    ...[0xff, 0x14, 0x24, 0x59], // call [esp]; pop ecx
  ]
}

/** Interrupts, hypercalls and two SINTs on. */
const ENLIGHTEN = [
  ...[...LIDT, ...APIC_ON],
  ...[...x86.movEcx(SyntheticMsr.GUEST_OS_ID), ...x86.movEax(1), ...x86.movEdx(0x8100_0000)],
  ...x86.wrmsr,
  ...asm.wrmsr(SyntheticMsr.HYPERCALL, HYPERCALL_PAGE | 1),
  ...asm.wrmsr(SyntheticMsr.SIMP, SIM | 1),
  ...asm.wrmsr(SyntheticMsr.SIEFP, SIEF | 1),
  ...asm.wrmsr(SyntheticMsr.SINT0 + MESSAGE_SINT, MESSAGE_VECTOR),
  ...asm.wrmsr(SyntheticMsr.SINT0 + EVENT_SINT, EVENT_VECTOR),
  ...asm.wrmsr(SyntheticMsr.SCONTROL, 1),
]

function hostOf(code: readonly number[], ports: readonly PortRange[] = []): Promise<KernelHost> {
  return KernelHost.create({
    image: multibootImage({ kernel: kernelOf(code), commandLine: '', ramBytes: RAM_BYTES }),
    ramBytes: RAM_BYTES,
    wasm: readProcessorModule(),
    random: () => 4,
    ports,
  })
}

/** Polls until the kernel halts for the first time with its interrupts on. */
function settle(host: KernelHost): void {
  for (let polls = 0; polls < 50; polls += 1) host.poll()
}

test('a message goes to the embedder and its answer comes back, and then a signal and a flag', async () => {
  const host = await hostOf([
    ...ENLIGHTEN,
    // HvCallPostMessage: connection 1, type 0x11, four bytes.
    ...[...asm.store(INPUT, 1), ...asm.store(INPUT + 8, 0x11), ...asm.store(INPUT + 12, 4)],
    ...asm.store(INPUT + 16, 0x676e_6970),
    ...[...hypercall(0x5c, INPUT), ...x86.storeEax(RESULT), ...IDLE],
  ])
  handlers(host.memory, {
    // What the message says is kept, its slot freed, and flag 5 of connection 2 signalled.
    [MESSAGE_VECTOR]: [
      ...[...x86.loadEax(slot(MESSAGE_SINT)), ...x86.storeEax(RESULT + 4)],
      ...[...x86.loadEax(slot(MESSAGE_SINT) + 16), ...x86.storeEax(RESULT + 8)],
      ...[...asm.store(slot(MESSAGE_SINT), 0), ...asm.wrmsr(SyntheticMsr.EOM, 0), ...APIC_EOI],
      ...[...hypercall(0x1_005d, 2, 5), ...x86.storeEax(RESULT + 12), ...asm.iret],
    ],
    [EVENT_VECTOR]: [...asm.loadByte(SIEF + EVENT_SINT * 256 + 1), ...asm.exitAl],
  })
  const seen: unknown[] = []
  host.onMessage(connectionId(1), (type, payload) => {
    seen.push([type, new TextDecoder().decode(payload)])
    const answer = new TextEncoder().encode('pong')
    expect(host.postMessage(MESSAGE_SINT, 0x22, answer)).toBe(HvStatus.SUCCESS)
  })
  host.onSignal(connectionId(2), 8, (flag) => {
    seen.push(flag)
    expect(host.signalEvent(EVENT_SINT, 9)).toBe(HvStatus.SUCCESS)
  })
  // Flag 9 is bit 1 of the second byte.
  expect(host.run(PATIENCE_MS)).toEqual({ is: 'exited', code: 2 })
  expect(seen).toEqual([[0x11, 'ping'], 5])
  const result = [0, 4, 8, 12].map((at) => host.memory.view.getUint32(RESULT + at, true))
  expect(result).toEqual([0, 0x22, 0x676e_6f70, 0])
})

test('a SINT that is asserted brings its vector, with neither message nor flag', async () => {
  const host = await hostOf([...ENLIGHTEN, ...IDLE])
  handlers(host.memory, {
    [MESSAGE_VECTOR]: [...asm.loadByte(slot(MESSAGE_SINT)), 4, 5, ...asm.exitAl], // add al, 5
  })
  settle(host)
  expect(host.end).toBeNull()
  expect(host.assertSint(MESSAGE_SINT)).toBe(HvStatus.SUCCESS)
  expect(host.run(PATIENCE_MS)).toEqual({ is: 'exited', code: 5 })
})

test('what can not be asserted, posted or connected is a status', async () => {
  const host = await hostOf(IDLE)
  settle(host)
  const nobody = (): void => {}
  expect(host.assertSint(MESSAGE_SINT)).toBe(HvStatus.INVALID_SYNIC_STATE)
  expect(host.assertSint(16)).toBe(HvStatus.INVALID_PARAMETER)
  expect(host.postMessage(MESSAGE_SINT, 1, new Uint8Array(1))).toBe(HvStatus.INVALID_SYNIC_STATE)
  expect(host.postMessage(MESSAGE_SINT, 1, new Uint8Array(241))).toBe(HvStatus.INVALID_PARAMETER)
  expect(host.signalEvent(MESSAGE_SINT, 2048)).toBe(HvStatus.INVALID_PARAMETER)
  expect(host.onSignal(connectionId(7), 0, nobody)).toBe(HvStatus.INVALID_PARAMETER)
  expect(host.onSignal(connectionId(7), 1, nobody)).toBe(HvStatus.SUCCESS)
  expect(host.onMessage(connectionId(7), nobody)).toBe(HvStatus.INVALID_CONNECTION_ID)
})

test('a masked SINT is not asserted though the controller is on', async () => {
  const host = await hostOf([...ENLIGHTEN, ...IDLE])
  settle(host)
  expect(host.assertSint(MESSAGE_SINT + 2)).toBe(HvStatus.INVALID_SYNIC_STATE)
})

test('a connection of nobody’s is refused to the kernel', async () => {
  const host = await hostOf([
    ...[...ENLIGHTEN, ...asm.store(INPUT, 1), ...asm.store(INPUT + 8, 1)],
    ...[...hypercall(0x5c, INPUT), ...asm.exitAl],
  ])
  expect(host.run(PATIENCE_MS)).toEqual({ is: 'exited', code: HvStatus.INVALID_CONNECTION_ID })
})

test('a synthetic timer sends its message to the SINT that it names', async () => {
  const host = await hostOf([
    ...ENLIGHTEN,
    // Auto-enable; one millisecond, periodic.
    ...asm.wrmsr(SyntheticMsr.STIMER0_CONFIG, (MESSAGE_SINT << 16) | (1 << 3) | 0b10),
    ...[...asm.wrmsr(SyntheticMsr.STIMER0_COUNT, 10_000), ...IDLE],
  ])
  handlers(host.memory, {
    [MESSAGE_VECTOR]: [
      ...[...x86.loadEax(slot(MESSAGE_SINT)), ...x86.storeEax(RESULT), ...x86.exit(6)],
    ],
  })
  expect(host.run(PATIENCE_MS)).toEqual({ is: 'exited', code: 6 })
  // HvMessageTimerExpired.
  expect(host.memory.view.getUint32(RESULT, true)).toBe(0x8000_0010)
})

test('an MSR that is not there is #GP, by reading and by writing, and the kernel goes on', async () => {
  const host = await hostOf([
    ...[...LIDT, 0x31, 0xff], // xor edi, edi
    ...[...x86.movEcx(0x4000_01ff), ...x86.rdmsr, ...x86.wrmsr],
    ...[0x89, 0xf8, ...asm.exitAl], // mov eax, edi
  ])
  // Counts, drops the error code, and goes on behind an instruction of two bytes: inc edi; add esp, 4; add dword [esp], 2; iret.
  handlers(host.memory, { 13: [0x47, 0x83, 0xc4, 4, 0x83, 0x04, 0x24, 2, 0xcf] })
  expect(host.run(PATIENCE_MS)).toEqual({ is: 'exited', code: 2 })
  expect(host.machine.inspect()).toMatchObject({ refusedMsrs: 2, lastRefusedMsr: 0x4000_01ff })
})

test('a kernel that never ends costs its embedder no more than its patience', async () => {
  const host = await hostOf([0xeb, 0xfe])
  expect(host.run(20)).toBeNull()
})

test('ports are served in the width that they are asked in, and only those of their range', async () => {
  const calls: unknown[] = []
  const host = await hostOf(
    [
      ...[...x86.movEax(0x8899_aabb | 0), 0x66, 0xba, 0x00, 0x30], // mov dx, 0x3000
      ...[0xee, 0x66, 0xef, 0xef], // out dx, al; out dx, ax; out dx, eax
      ...[0x31, 0xc0, 0xec, ...x86.storeEax(RESULT)], // in al, dx
      ...[0x31, 0xc0, 0x66, 0xed, ...x86.storeEax(RESULT + 4)], // in ax, dx
      ...[0xed, ...x86.storeEax(RESULT + 8)], // in eax, dx
      ...[0x66, 0xba, 0x04, 0x30, 0xed, ...x86.storeEax(RESULT + 12)], // past the range
      ...[0x66, 0xba, 0x03, 0x30, 0x31, 0xc0, 0xec, ...x86.storeEax(RESULT + 16), ...x86.exit(0)],
    ],
    [
      {
        ...{ from: 0x3000, count: 3 },
        read: (_port, bytes) => (calls.push(bytes), 0x1_ffee_ddcc),
        write: (port, value, bytes) => calls.push([port, value, bytes]),
      },
    ],
  )
  host.ports.add({ from: 0x3003, count: 1 })
  expect(host.run(PATIENCE_MS)).toEqual({ is: 'exited', code: 0 })
  expect(calls).toEqual([
    ...[
      [0x3000, 0xbb, 1],
      [0x3000, 0xaabb, 2],
      [0x3000, 0x8899_aabb, 4],
    ],
    ...[1, 2, 4],
  ])
  const read = [0, 4, 8, 12, 16].map((at) => host.memory.view.getUint32(RESULT + at, true))
  expect(read).toEqual([0xcc, 0xddcc, 0xffee_ddcc, 0xffff_ffff, 0xff])
})

test.each([
  [{ from: 0x3fc, count: 8 }, "ports 0x3fc to 0x403: the platform's COM1 is there"],
  [{ from: 0xf4, count: 1 }, "ports 0xf4: the platform's debug exit is there"],
  [{ from: 0x3002, count: 2 }, 'ports 0x3002 to 0x3003: 0x3002 has a handler already'],
  [{ from: 0xffff, count: 2 }, 'no ports: 65535, 2 of them'],
  [{ from: 0x500, count: 0 }, 'no ports: 1280, 0 of them'],
])('%j can not be registered', async (range, message) => {
  const ports = [{ from: 0x3000, count: 3 }, range]
  await expect(hostOf(IDLE, ports)).rejects.toThrow(new RangeError(message))
})

test('a kernel that may see no hypervisor finds none, by CPUID or by MSR', async () => {
  const kernel = kernelOf([
    ...[...LIDT, ...x86.movEax(1), ...x86.cpuid, 0x89, 0x0d, ...i32(RESULT)], // mov [RESULT], ecx
    ...[...x86.movEax(0x4000_0000), ...x86.cpuid, ...x86.storeEax(RESULT + 4)],
    ...[0x89, 0x1d, ...i32(RESULT + 8)], // mov [RESULT + 8], ebx
    ...[...x86.movEcx(SyntheticMsr.GUEST_OS_ID), ...x86.rdmsr, ...x86.exit(1)],
  ])
  const host = await KernelHost.create({
    ...{ ramBytes: RAM_BYTES, wasm: readProcessorModule(), random: () => 4 },
    image: multibootImage({ kernel, commandLine: '', ramBytes: RAM_BYTES }),
    hypervisorPresent: false,
  })
  handlers(host.memory, { 13: x86.exit(13) })
  host.memory.view.setUint32(RESULT + 4, 1, true)
  expect(host.run(PATIENCE_MS)).toEqual({ is: 'exited', code: 13 })
  const [features, leaves, vendor] = [0, 4, 8].map((at) =>
    host.memory.view.getUint32(RESULT + at, true),
  )
  expect([features! >>> 31, leaves, vendor]).toEqual([0, 0, 0])
})
