// A kernel that wants a second processor, and what is said of it.

import { KernelHost, multibootImage } from '@guestyard/x86-partition'
import { readProcessorModule } from '@guestyard/x86-partition/node'
import { assert, integer, property } from 'fast-check'
import { expect, test } from 'vitest'

import { StartRequests } from '../src/machine/start-requests.ts'
import { APIC_ON, asm } from './assembler.ts'
import { RAM_BYTES, kernelOf, x86 } from './tiny-machine.ts'

const [ICR_LOW, ICR_HIGH] = [0xfee0_0300, 0xfee0_0310]
const [INIT, SIPI, OTHERS] = [0x4500, 0x4608, 0xc_0000]

function command(low: number, apicId: number): number[] {
  return [...asm.store(ICR_HIGH, apicId << 24), ...asm.store(ICR_LOW, low)]
}

function hear(): {
  readonly lines: unknown[]
  readonly log: ConstructorParameters<typeof StartRequests>[0]
} {
  const lines: unknown[] = []
  return { lines, log: { warn: (fields, message) => lines.push([fields, message]) } }
}

async function told(code: readonly number[]): Promise<unknown[]> {
  const { lines, log } = hear()
  const kernel = kernelOf([...APIC_ON, ...code, ...x86.exit(0)])
  const host = await KernelHost.create({
    ...{ ramBytes: RAM_BYTES, wasm: readProcessorModule(), random: () => 4, log: log! },
    image: multibootImage({ kernel, commandLine: '', ramBytes: RAM_BYTES }),
  })
  expect(host.run(10_000)).toEqual({ is: 'exited', code: 0 })
  return lines
}

test('INIT and two SIPIs to an APIC that is not there are one line, and each id has its own', async () => {
  const start = (id: number): number[] => [INIT, SIPI, SIPI].flatMap((low) => command(low, id))
  expect(await told([...start(1), ...start(1), ...start(3)])).toEqual([
    [{ asked: 'INIT', apicId: 1, vpCount: 1 }, 'asked to start APIC id 1: this machine has one VP'],
    [{ asked: 'INIT', apicId: 3, vpCount: 1 }, 'asked to start APIC id 3: this machine has one VP'],
  ])
})

test('a command is seen in code that the translator has compiled, too', async () => {
  const loop = [
    ...[0x89, 0xc8, 0xc1, 0xe0, 8, ...x86.storeEax(ICR_HIGH)], // mov eax, ecx; shl eax, 8
    ...[...asm.store(ICR_LOW, INIT), 0x49], // dec ecx
  ]
  // 65,536 times to APIC 3, then as often to APIC 2, then to APIC 1.
  const lines = await told([...x86.movEcx(0x3_ffff), ...loop, 0x75, 0xfe - loop.length])
  expect(lines.map((line) => (line as unknown[])[0])).toEqual(
    [3, 2, 1].map((apicId) => ({ asked: 'INIT', apicId, vpCount: 1 })),
  )
})

test('a start by the MSR of an x2APIC names its id, however large', async () => {
  const x2apic = (id: number): number[] => [
    ...[...x86.movEcx(0x830), ...x86.movEax(SIPI), ...x86.movEdx(id), ...x86.wrmsr],
  ]
  expect(await told([...x2apic(0x1234), ...x2apic(0x1234)])).toEqual([
    [
      { asked: 'SIPI', apicId: 0x1234, vpCount: 1 },
      'asked to start APIC id 4660: this machine has one VP',
    ],
  ])
})

test('INIT to all but oneself names no id', async () => {
  expect(await told([...command(INIT | OTHERS, 0), ...command(SIPI | OTHERS, 0)])).toEqual([
    [{ asked: 'INIT', vpCount: 1 }, 'asked to start all other processors: this machine has one VP'],
  ])
})

test('an interrupt, the end of an INIT, and what a kernel sends to itself start nobody', async () => {
  expect(await told([...command(0x40f1, 1), ...command(0x8500, 1), ...command(INIT, 0)])).toEqual(
    [],
  )
})

test('whatever is written, a line names an id once, and there are never many', () => {
  const u32 = integer({ min: 0, max: 0xffff_ffff })
  const { lines, log } = hear()
  const requests = new StartRequests(log)
  assert(property(u32, u32, (low, destination) => requests.command(low | 0x500, destination)))
  for (let id = 1; id < 1000; id += 1) requests.command(INIT, id)
  expect(lines.length).toBeLessThanOrEqual(64)
  expect(new Set(lines.map((line) => (line as unknown[])[1])).size).toBe(lines.length)
})
