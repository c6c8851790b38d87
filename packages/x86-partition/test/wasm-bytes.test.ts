import { assert, integer, property } from 'fast-check'
import { test } from 'vitest'

import { WasmReader, sleb, uleb } from '../src/processor/wasm-bytes.ts'

test('an unsigned number is read as it was written, and ends where it ends', () => {
  assert(
    property(integer({ min: 0, max: 0xffff_ffff }), (value) => {
      const bytes = Uint8Array.from([...uleb(value), 0xff])
      const reader = new WasmReader(bytes, 0, bytes.length)
      return reader.u32() === value && reader.at === bytes.length - 1
    }),
  )
})

test('a signed number stands for itself, in as few bytes as can be', () => {
  assert(
    property(integer(), (value) => {
      const bytes = sleb(value)
      let read = 0
      bytes.forEach((byte, index) => {
        read |= (byte & 0x7f) << (7 * index)
      })
      const bits = 7 * bytes.length
      const signed = bits < 32 ? (read << (32 - bits)) >> (32 - bits) : read
      const fits = (count: number): boolean =>
        value >= -(2 ** (7 * count - 1)) && value < 2 ** (7 * count - 1)
      return (
        signed === value && fits(bytes.length) && (bytes.length === 1 || !fits(bytes.length - 1))
      )
    }),
  )
})
