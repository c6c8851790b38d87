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
