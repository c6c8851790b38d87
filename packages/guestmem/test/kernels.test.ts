import { readFileSync } from 'node:fs'
import {
  type CopyKernel,
  WASM_PAGE_SIZE,
  GuestMemory,
  createCopyKernel,
  createCopyKernelTwin,
  createGuestTransferKernel,
  createMemoryKernel,
  createMemoryKernelTwin,
  createTransferKernel,
  createTransferKernelTwin,
  hasMultiMemory,
  wasm,
} from '@guestyard/guestmem'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KERNELS, generateModule } from '../scripts/build-kernels.ts'

function memories(): {
  local: InstanceType<typeof wasm.Memory>
  remote: InstanceType<typeof wasm.Memory>
} {
  const local = new wasm.Memory({ initial: 1, maximum: 1 })
  const remote = new wasm.Memory({ initial: 1, maximum: 1, shared: true })
  for (const memory of [local, remote]) {
    const bytes = new Uint8Array(memory.buffer)
    for (let index = 0; index < bytes.length; index += 1) bytes[index] = index * 7 + (index >> 8)
  }
  return { local, remote }
}

const CALLS = [
  'toRemote',
  'toLocal',
  'withinRemote',
  'withinLocal',
  'fillRemote',
  'fillLocal',
] as const

/** Calls a kernel; true when it threw. */
function throws(
  kernel: CopyKernel,
  call: (typeof CALLS)[number],
  a: number,
  b: number,
  c: number,
): boolean {
  try {
    kernel[call](a, b, c)
    return false
  } catch {
    return true
  }
}

test.each(KERNELS)(
  'the generated module is that of the text: $stem',
  async ({ stem, constant }) => {
    const generated = readFileSync(new URL(`../src/${stem}-module.ts`, import.meta.url), 'utf8')
    expect(await generateModule(stem, constant)).toBe(generated)
  },
)

test('this platform copies between two memories', () => {
  expect(hasMultiMemory()).toBe(true)
})

test('the copy kernel and its twin do the same, in bounds and out', () => {
  const address = fc.oneof(
    fc.nat(200),
    fc.integer({ min: WASM_PAGE_SIZE - 200, max: WASM_PAGE_SIZE + 8 }),
  )
  const length = fc.oneof(fc.nat(300), fc.constantFrom(0, WASM_PAGE_SIZE, WASM_PAGE_SIZE + 1))
  const step = fc.tuple(fc.constantFrom(...CALLS), address, address, length)
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const kernelSide = memories()
      const twinSide = memories()
      const kernel = createCopyKernel(kernelSide.local, kernelSide.remote)
      const twin = createCopyKernelTwin(twinSide.local.buffer, twinSide.remote.buffer)
      for (const [call, to, from, bytes] of steps) {
        const second = call.startsWith('fill') ? from & 0xff : from
        expect(throws(twin, call, to, second, bytes)).toBe(throws(kernel, call, to, second, bytes))
      }
      for (const side of ['local', 'remote'] as const) {
        const same = Buffer.compare(
          new Uint8Array(kernelSide[side].buffer),
          new Uint8Array(twinSide[side].buffer),
        )
        expect(same).toBe(0)
      }
    }),
  )
})

test('the memory kernel and its twin do the same', () => {
  fc.assert(
    fc.property(fc.nat(2000), fc.nat(2000), fc.nat(2000), (to, from, length) => {
      const { remote } = memories()
      const other = memories().remote
      const kernel = createMemoryKernel(remote)
      const twin = createMemoryKernelTwin(other.buffer)
      kernel.copy(to, from, length)
      twin.copy(to, from, length)
      kernel.fill(from, 0xee, to)
      twin.fill(from, 0xee, to)
      expect(Buffer.compare(new Uint8Array(remote.buffer), new Uint8Array(other.buffer))).toBe(0)
    }),
    { numRuns: 50 },
  )
  const { remote } = memories()
  expect(() => createMemoryKernel(remote).copy(WASM_PAGE_SIZE, 0, 1)).toThrow('out of bounds')
  expect(() => createMemoryKernelTwin(remote.buffer).copy(WASM_PAGE_SIZE, 0, 1)).toThrow(
    'out of bounds',
  )
  expect(() => createMemoryKernelTwin(remote.buffer).fill(-1, 0, 1)).toThrow('out of bounds')
})

test('the transfer kernel and its twin do the same, between two memories and inside one', () => {
  const address = fc.oneof(fc.nat(200), fc.integer({ min: 65_300, max: WASM_PAGE_SIZE + 8 }))
  const copied = (same: boolean, steps: readonly (readonly number[])[], twin: boolean): unknown => {
    const { local: from } = memories()
    const to = same ? from : memories().local
    new Uint8Array(from.buffer).reverse()
    const copy = twin
      ? createTransferKernelTwin(to.buffer, from.buffer)
      : createTransferKernel(to, from)
    const threw = steps.map(([toAt, fromAt, bytes]) => {
      try {
        copy(toAt!, fromAt!, bytes!)
        return false
      } catch {
        return true
      }
    })
    return [threw, Buffer.from(to.buffer as ArrayBuffer).toString('base64')]
  }
  const steps = fc.array(fc.tuple(address, address, fc.nat(300)), { maxLength: 10 })
  fc.assert(
    fc.property(fc.boolean(), steps, (same, all) => {
      expect(copied(same, all, true)).toEqual(copied(same, all, false))
    }),
    { numRuns: 40 },
  )
})

test('bytes go from one guest to another by GPA, wherever RAM begins in their memories', () => {
  const rooms = { belowBytes: WASM_PAGE_SIZE, aboveBytes: WASM_PAGE_SIZE }
  const plain = GuestMemory.create({ sizeBytes: WASM_PAGE_SIZE })
  const between = GuestMemory.create({ sizeBytes: WASM_PAGE_SIZE, rooms })
  plain.u8.set([1, 2, 3, 4], 100)
  createGuestTransferKernel(between, plain)(200, 100, 4)
  createGuestTransferKernel(plain, between)(301, 201, 3)
  createGuestTransferKernel(plain, plain)(400, 100, 2)
  expect([...between.u8.subarray(199, 205)]).toEqual([0, 1, 2, 3, 4, 0])
  expect([...plain.u8.subarray(300, 305)]).toEqual([0, 2, 3, 4, 0])
  expect([...plain.u8.subarray(400, 402)]).toEqual([1, 2])
})
