// The file of a saved machine: what is written is read, and what is wrong with a file is one line.

import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { SavedFileError, readSavedFile, writeSavedFile } from '@guestyard/management/saved'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'

const PAGE = 4096
const folder = mkdtempSync(join(tmpdir(), 'saved-file-'))
const path = join(folder, 'machine.saved')

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** RAM of so many pages, of which these have something in them. */
function ramOf(pages: number, used: readonly number[]): Uint8Array {
  const ram = new Uint8Array(pages * PAGE)
  for (const page of used) ram.fill(page + 1, page * PAGE + 7, (page + 1) * PAGE)
  return ram
}

test('what is written is read, whatever pages are zero', () => {
  const pages = fc.integer({ min: 1, max: 700 })
  // MessagePack has one zero.
  const number = fc.double({ noNaN: true }).map((value) => value + 0)
  const state = fc.record({ a: number, b: fc.string(), c: fc.uint8Array() })
  fc.assert(
    fc.property(pages, fc.array(fc.nat(699)), state, (count, used, record) => {
      const ram = ramOf(
        count,
        used.filter((page) => page < count),
      )
      writeSavedFile(path, { state: record, ram })
      const read = readSavedFile(path, ram.length)
      expect(Buffer.compare(read.ram, ram)).toBe(0)
      expect(read.state).toEqual({ ...record, c: Buffer.from(record.c) })
    }),
    { numRuns: 25 },
  )
})

test('pages that are zero take no room', () => {
  writeSavedFile(path, { state: null, ram: ramOf(16_384, [3, 9000]) })
  expect(readFileSync(path).length).toBeLessThan(2_000)
})

test('a byte that is changed, or a file that is cut, is refused by one line that names it', () => {
  writeSavedFile(path, { state: { kept: 'here' }, ram: ramOf(40, [0, 1, 20]) })
  const whole = readFileSync(path)
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const changed = Uint8Array.from(whole)
      changed[at]! ^= by
      writeFileSync(path, changed)
      expect(() => readSavedFile(path, 40 * PAGE)).toThrow(SavedFileError)
    }),
  )
  fc.assert(
    fc.property(fc.nat(whole.length - 1), (length) => {
      writeFileSync(path, whole.subarray(0, length))
      expect(() => readSavedFile(path, 40 * PAGE)).toThrow(/^[^\n]*machine\.saved: [^\n]+$/)
    }),
  )
})

test('a file of another machine, another format, or no such file at all', () => {
  writeSavedFile(path, { state: null, ram: ramOf(40, []) })
  expect(() => readSavedFile(path, 41 * PAGE)).toThrow('and the machine has 167936')
  const other = readFileSync(path)
  other[8] = 9
  writeFileSync(path, other)
  expect(() => readSavedFile(path, 40 * PAGE)).toThrow('saved in format 9, and 2 is known')
  writeFileSync(path, 'an image of a disk, perhaps, or a letter to somebody')
  expect(() => readSavedFile(path, 40 * PAGE)).toThrow('no saved machine')
  expect(() => readSavedFile(join(folder, 'none'), 40 * PAGE)).toThrow(SavedFileError)
})

test('a file that can not be written leaves nothing behind, and the one before as it was', () => {
  writeSavedFile(path, { state: 1, ram: ramOf(1, [0]) })
  const before = readdirSync(folder)
  const missing = join(folder, 'no', 'such', 'folder')
  expect(() => writeSavedFile(missing, { state: 2, ram: ramOf(1, [0]) })).toThrow('ENOENT')
  expect(readdirSync(folder)).toEqual(before)
  expect(readSavedFile(path, PAGE).state).toBe(1)
})
