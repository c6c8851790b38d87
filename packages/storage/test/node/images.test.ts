// Images by path: made, copied, changed, looked at.

import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  checkImage,
  compactImage,
  convertImage,
  createImage,
  imageInfo,
  openImage,
  resizeImage,
} from '@guestyard/storage/file'
import type { FileJob, ImageFormat } from '@guestyard/storage/file'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { closeNow, readBytes, writeBytes } from '../support/disk-bytes.ts'
import { noQemuImg, qemuImg } from '../support/qemu-img.ts'

const MIB = 2 ** 20
const IMAGE_FORMATS = ['raw', 'vhd'] as const

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'guestyard-images-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function at(name: string): string {
  return join(folder, name)
}

/** Three places of a disk of 4 MiB get bytes. */
const PLACES = [0, 2 * MIB - 512, 4 * MIB - 4096]

function make(name: string, format: ImageFormat, fixed = false): string {
  createImage(at(name), { format, sizeBytes: 4 * MIB, fixed })
  const disk = openImage(at(name), { flush: 'sync' })
  for (const place of PLACES) writeBytes(disk, place, new Uint8Array(4096).fill(place / 512 + 1))
  closeNow(disk)
  return at(name)
}

function contents(path: string): Buffer {
  const disk = openImage(path, { readOnly: true, flush: 'sync' })
  const { blockCount, logicalBlockBytes } = disk.geometry
  const bytes = Buffer.from(readBytes(disk, 0, blockCount * logicalBlockBytes))
  closeNow(disk)
  return bytes
}

function finish(job: FileJob): void {
  for (let steps = 0; !job.step(); steps++) expect(steps).toBeLessThan(1000)
}

describe('a disk survives every conversion', () => {
  for (const from of IMAGE_FORMATS) {
    for (const to of IMAGE_FORMATS) {
      test(`${from} to ${to}`, () => {
        const source = make('from', from)
        const before = readFileSync(source)
        const wanted = contents(source)
        finish(convertImage(source, at('to'), { format: to }))
        expect(contents(at('to')).equals(wanted)).toBe(true)
        expect(readFileSync(source).equals(before)).toBe(true)
        expect(imageInfo(at('to')).format).toBe(to)
        expect(readdirSync(folder)).toEqual(['from', 'to'])
      })
    }
  }
})

test.skipIf(noQemuImg !== undefined)('qemu-img finds the copies the same as the first', () => {
  const source = make('first', 'raw')
  for (const format of ['vhd'] as const) {
    for (const fixed of [true, false]) {
      const copy = at(`${format}-${fixed}`)
      finish(convertImage(source, copy, { format, fixed }))
      const said = qemuImg('compare', '-f', 'raw', '-F', 'vpc', source, copy)
      expect(said).toContain('identical')
    }
  }
})

describe('what is there is not overwritten', () => {
  test('unless it is asked for', () => {
    const path = make('a', 'raw')
    expect(() => createImage(path, { format: 'vhd', sizeBytes: MIB })).toThrow('exists already')
    expect(() => convertImage(make('b', 'raw'), path, { format: 'vhd' })).toThrow('exists already')
    createImage(path, { format: 'vhd', sizeBytes: MIB, replace: true })
    expect(imageInfo(path).format).toBe('vhd')
  })

  test('while somebody uses it', () => {
    const path = make('a', 'raw')
    const user = openImage(path, { readOnly: true, flush: 'sync' })
    const replace = { format: 'vhd', sizeBytes: MIB, replace: true } as const
    expect(() => createImage(path, replace)).toThrow('is in use already')
    closeNow(user)
    expect(readdirSync(folder)).toEqual(['a'])
  })
})

test('a conversion that is given up leaves nothing, and one that replaces leaves the old', () => {
  const source = make('from', 'vhd')
  const old = make('old', 'raw')
  const before = readFileSync(old)
  for (const [path, replace] of [
    [at('new'), false],
    [old, true],
  ] as const) {
    const job = convertImage(source, path, { format: 'vhd', replace })
    job.step()
    job.abandon()
    job.abandon()
  }
  expect(readdirSync(folder)).toEqual(['from', 'old'])
  expect(readFileSync(old).equals(before)).toBe(true)
})

describe('a larger disk has the old bytes, and zeros behind them', () => {
  for (const [format, fixed] of [
    ['raw', true],
    ['vhd', true],
    ['vhd', false],
  ] as const) {
    test(`${format}, ${fixed ? 'fixed' : 'dynamic'}`, () => {
      const path = make('a', format, fixed)
      const { diskId } = imageInfo(path)
      const wanted = Buffer.concat([contents(path), Buffer.alloc(2 * MIB)])
      finish(resizeImage(path, 6 * MIB))
      expect(contents(path).equals(wanted)).toBe(true)
      expect(imageInfo(path)).toMatchObject({ format, diskId, sizeBytes: 6 * MIB })
      expect(checkImage(path).findings).toEqual([])
      expect(readdirSync(folder)).toEqual(['a'])
    })
  }

  test('and a smaller one is refused, but for a raw image that may', () => {
    for (const format of IMAGE_FORMATS) {
      expect(() => resizeImage(make(format, format), MIB)).toThrow('size')
    }
    finish(resizeImage(at('raw'), MIB, { shrink: true }))
    expect(statSync(at('raw')).size).toBe(MIB)
    expect(() => resizeImage(at('vhd'), MIB, { shrink: true })).toThrow('size')
  })
})

test('a compacted image is shorter and holds the same', () => {
  for (const format of ['vhd'] as const) {
    const path = make(format, format)
    const disk = openImage(path, { flush: 'sync' })
    writeBytes(disk, 0, new Uint8Array(4096))
    closeNow(disk)
    const before = statSync(path).size
    const wanted = contents(path)
    finish(compactImage(path))
    expect(contents(path).equals(wanted)).toBe(true)
    expect(statSync(path).size).toBeLessThan(before)
    expect(checkImage(path).findings).toEqual([])
  }
  expect(() => compactImage(make('fixed', 'vhd', true))).toThrow('keeps all of its disk')
  expect(() => compactImage(make('raw', 'raw'))).toThrow('keeps all of its disk')
})

test('a check names what is damaged, and nothing is written', () => {
  for (const format of ['vhd'] as const) {
    const path = make(format, format)
    expect(checkImage(path).findings).toEqual([])
    const bytes = readFileSync(path)
    bytes[bytes.length - 300] = 9 //  the last footer, a block
    bytes[192 * 1024 + 4] = 9 //      a block, the first region table
    writeFileSync(path, bytes)
    expect(checkImage(path).findings.map(({ field }) => field)).toHaveLength(1)
    expect(readFileSync(path).equals(bytes)).toBe(true)
  }
})
