// The processor package's module, adapted: it is a module that the platform takes, with what was added, and anything else than the
// pinned version is refused by one line that names what is wrong.

import { wasm } from '@guestyard/guestmem'
import { V86Mismatch } from '@guestyard/x86-partition'
import { readProcessorModule } from '@guestyard/x86-partition/node'
import { expect, test } from 'vitest'

import { adaptModule } from '../src/processor/adapt.ts'
import { shareBlockMemory } from '../src/processor/compiled-block.ts'
import { RAM_BASE_PAGES, TRIGGER_GP_EXPORT } from '../src/processor/v86-contract.ts'

const original = readProcessorModule()
const adaptation = { tscPerMs: 2_560_000, tscOffsetMs: 0 }

interface Described {
  readonly name: string
  readonly kind: string
}
const { Module } = (
  globalThis as unknown as {
    WebAssembly: {
      Module: (new (bytes: Uint8Array<ArrayBuffer>) => object) & {
        imports(module: object): (Described & { readonly module: string })[]
        exports(module: object): Described[]
      }
    }
  }
).WebAssembly

test('the adapted module compiles, imports its memory and exports one function more', () => {
  const before = new Module(Uint8Array.from(original))
  const after = new Module(adaptModule(original, adaptation).bytes)
  expect(Module.imports(after)).toEqual([
    ...Module.imports(before),
    { module: 'env', name: 'memory', kind: 'memory' },
  ])
  expect(Module.exports(after)).toEqual([
    ...Module.exports(before),
    { name: TRIGGER_GP_EXPORT, kind: 'function' },
  ])
})

/** Every place where the text occurs, with its last letter changed. */
function withoutName(name: string): Uint8Array {
  return changed(new TextEncoder().encode(name))
}

function changed(pattern: ArrayLike<number>): Uint8Array {
  const bytes = Buffer.from(original)
  const wanted = Uint8Array.from(pattern)
  for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + 1)) {
    bytes[at + wanted.length - 1]! ^= 1
  }
  return bytes
}

test.each([
  ['get_apic_addr', 'get_apic_addr is not there'],
  ['codegen_finalize_finished', 'codegen_finalize_finished is not there'],
  ['run_hardware_timers', 'env.run_hardware_timers is not there'],
  ['12mmap_write32', "no function's name ends in 3cpu6memory12mmap_write32"],
  ['4apic5route', "no function's name ends in 3cpu6memory12mmap_write32, or in 3cpu4apic5route"],
  ['3cpu3cpu10trigger_gp', "no function's name ends in 3cpu3cpu10trigger_gp"],
])('a module without %s is refused by name', (name, message) => {
  expect(() => adaptModule(withoutName(name), adaptation)).toThrow(new V86Mismatch(message).message)
})

test.each([
  ['another TSC', [0xa2, 0xfc, 0x07, 0x41, 0x00, 0x29, 0x03, 0xe8, 0xa3], 'its TSC is not read'],
  ['another allocation', [0x20, 0x00, 0x41, 0x80, 0x20, 0x10], 'allocate_memory does not allocate'],
])('a module with %s is refused', (_name, pattern, message) => {
  expect(() => adaptModule(changed(pattern), adaptation)).toThrow(message)
})

test.each([
  ['nothing', new Uint8Array(0)],
  ['half of it', original.subarray(0, original.length >> 1)],
  ['a module with nothing in it', Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)],
])('%s is refused, and not read beyond its end', (_name, bytes) => {
  expect(() => adaptModule(bytes, adaptation)).toThrow(V86Mismatch)
})

/** Type, import of `e.m`, function, export `f`: stores 7 at address 8. */
const BLOCK = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[1, 4, 1, 0x60, 0, 0],
  ...[2, 8, 1, 1, 0x65, 1, 0x6d, 2, 0, 1],
  ...[3, 2, 1, 0],
  ...[7, 5, 1, 1, 0x66, 0, 0],
  ...[10, 11, 1, 9, 0, 0x41, 8, 0x41, 7, 0x36, 2, 0, 0x0b],
])

test('a compiled block runs in a shared memory once its import says so', () => {
  const memory = new wasm.Memory({ initial: 1, maximum: 4, shared: true })
  const run = (block: Uint8Array<ArrayBuffer>): void => {
    const instance = new wasm.Instance(new wasm.Module(block), { e: { m: memory } })
    const entry = instance.exports['f'] as () => void
    entry()
  }
  expect(() => run(BLOCK)).toThrow('shared')
  run(shareBlockMemory(BLOCK))
  expect(new Int32Array(memory.buffer)[2]).toBe(7)
})

test('a block that imports no memory is refused', () => {
  expect(() => shareBlockMemory(BLOCK.subarray(0, 14))).toThrow(V86Mismatch)
  const other = Uint8Array.from(BLOCK)
  other[19] = 0x6e // "n"
  expect(() => shareBlockMemory(other)).toThrow(V86Mismatch)
})

test('guest RAM begins where the module’s own memory ends', () => {
  expect(adaptModule(original, adaptation).firstPages).toBe(RAM_BASE_PAGES)
})
