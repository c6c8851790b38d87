import { linkSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { ImageError, createVhd } from '@guestyard/storage'
import type { Disk } from '@guestyard/storage'
import { checkImage, createBackingFile, imageInfo, openImage } from '@guestyard/storage/file'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'guestyard-open-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function at(name: string): string {
  return join(folder, name)
}

function open(name: string, options: Parameters<typeof openImage>[1] = {}): Disk {
  return openImage(at(name), { flush: 'sync', ...options })
}

function writeVhd(name: string): void {
  const file = createBackingFile(at(name))
  createVhd(file, { sizeBytes: 2 ** 20, uniqueId: new Uint8Array(16).fill(3), createdAtMs: 0 })
  file.close()
}

test('a format is found by the content, whatever the name says', () => {
  writeVhd('a.vhdx')
  const vhd = open('a.vhdx')
  expect(vhd.geometry.blockCount).toBe(2048)
  vhd.close()
})

test('an image that has lost what it is known by is damaged, and no raw disk for a guest to write', () => {
  for (const [name, problem] of [
    ['a.vhdx', 'file identifier: '],
    ['a.vhd', 'footer: cookie: '],
  ] as const) {
    const bytes = new Uint8Array(1024 * 1024).fill(7)
    writeFileSync(at(name), bytes)
    expect(() => open(name)).toThrow(`${at(name)}: ${problem}`)
    expect(checkImage(at(name)).findings).toMatchObject([{ severity: 'error' }])
    const raw = open(name, { format: 'raw' })
    expect(raw.geometry.blockCount).toBe(2048)
    raw.close()
  }
})

test('a format that is asked for is what the file must be, and raw is any file', () => {
  writeVhd('a.vhd')
  writeFileSync(at('b.img'), new Uint8Array(4096))
  const problem = `${at('b.img')}: is no vhd image, it is raw`
  expect(() => open('b.img', { format: 'vhd' })).toThrow(problem)
  const raw = open('a.vhd', { format: 'raw' })
  expect(raw.geometry.blockCount).toBe((512 + 1024 + 512 + 512) / 512)
  raw.close()
})

test('an image that is open is locked until its disk is closed', () => {
  writeFileSync(at('a.img'), new Uint8Array(4096))
  const writer = open('a.img')
  expect(() => open('a.img', { readOnly: true })).toThrow('is being written by somebody else')
  writer.close()
  const readers = [open('a.img', { readOnly: true }), open('a.img', { readOnly: true })]
  expect(() => open('a.img')).toThrow('is in use already')
  for (const reader of readers) reader.close()
  expect(readdirSync(folder)).toEqual(['a.img'])
})

test('a file of two names, which no lock knows to be one, is not written', () => {
  writeFileSync(at('a.img'), new Uint8Array(4096))
  linkSync(at('a.img'), at('b.img'))
  expect(() => open('b.img')).toThrow(`${at('b.img')}: has 2 names (hard links)`)
  open('b.img', { readOnly: true }).close()
  expect(readdirSync(folder)).toEqual(['a.img', 'b.img'])
})

test('an image that is refused is not locked afterwards', () => {
  writeFileSync(at('a.img'), new Uint8Array(100))
  expect(() => open('a.img')).toThrow('size: 100 bytes are no whole number of 512-byte blocks')
  expect(() => open('none.img')).toThrow(`${at('none.img')}: no such file or folder`)
  expect(() => open('.')).toThrow('is a folder')
  expect(readdirSync(folder)).toEqual(['a.img'])
})

test('a raw disk has an id that stays, and two have two', () => {
  writeFileSync(at('a.img'), new Uint8Array(4096))
  writeFileSync(at('b.img'), new Uint8Array(4096))
  const ids = ['a.img', 'b.img', 'a.img'].map((name) => {
    const disk = open(name)
    disk.close()
    return Buffer.from(disk.geometry.uniqueId).toString('hex')
  })
  expect([ids[0] === ids[2], ids[0] === ids[1], ids[0]?.length]).toEqual([true, false, 32])
})

test('whatever is in a file, it is opened or refused in one line, and never stays locked', () => {
  const signature = fc.constantFrom('vhdxfile', 'conectix', '')
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 2048 })
  const run = (start: string, middle: Uint8Array, end: string): void => {
    const tail = Buffer.alloc(end === '' ? 0 : 512)
    tail.write(end)
    writeFileSync(at('any'), Buffer.concat([Buffer.from(start), middle, tail]))
    for (const look of [() => open('any').close(), () => imageInfo(at('any'))]) {
      try {
        look()
      } catch (error) {
        expect(error).toBeInstanceOf(ImageError)
        expect((error as ImageError).message).toMatch(/^[^\n]+$/)
      }
    }
    checkImage(at('any'))
    expect(readdirSync(folder)).toEqual(['any'])
  }
  fc.assert(fc.property(signature, bytes, signature, run), { numRuns: 60 })
})
