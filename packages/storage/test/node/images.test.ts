// Images by path: made, copied, changed, looked at.

import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs'
import { rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { parseGuid } from '@guestyard/hvdef'
import { createVhdx } from '@guestyard/storage'
import {
  IMAGE_FORMATS,
  checkImage,
  compactImage,
  convertImage,
  createBackingFile,
  createImage,
  imageInfo,
  mergeImage,
  openImage,
  resizeImage,
} from '@guestyard/storage/file'
import type { FileJob, ImageFormat } from '@guestyard/storage/file'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { closeNow, readBytes, writeBytes } from '../support/disk-bytes.ts'
import { noQemuImg, qemuImg } from '../support/qemu-img.ts'

const MIB = 2 ** 20

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'guestyard-images-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function at(name: string): string {
  return join(folder, name)
}

/** The least, so that there are several. */
const BLOCK_BYTES = { raw: undefined, vhd: MIB / 2, vhdx: MIB }

/** Three places of a disk of 4 MiB get bytes. */
const PLACES = [0, 2 * MIB - 512, 4 * MIB - 4096]

function make(name: string, format: ImageFormat, fixed = false): string {
  const blockBytes = BLOCK_BYTES[format]
  const blocks = fixed || blockBytes === undefined ? {} : { blockBytes }
  createImage(at(name), { format, sizeBytes: 4 * MIB, fixed, ...blocks })
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

const qemuNames = { raw: 'raw', vhd: 'vpc', vhdx: 'vhdx' } as const

test.skipIf(noQemuImg !== undefined)('qemu-img finds the copies the same as the first', () => {
  const source = make('first', 'raw')
  for (const format of ['vhd', 'vhdx'] as const) {
    for (const fixed of [true, false]) {
      const copy = at(`${format}-${fixed}`)
      finish(convertImage(source, copy, { format, fixed }))
      const said = qemuImg('compare', '-f', 'raw', '-F', qemuNames[format], source, copy)
      expect(said).toContain('identical')
    }
  }
})

test('a child is its parent until it is written, and a copy of it stands alone', () => {
  const parent = make('parent.vhdx', 'vhdx')
  createImage(at('child.vhdx'), { format: 'vhdx', parent })
  const child = openImage(at('child.vhdx'), { flush: 'sync' })
  writeBytes(child, MIB, new Uint8Array(4096).fill(77))
  expect(readBytes(child, 0, 4096)).toEqual(new Uint8Array(4096).fill(1))
  expect(() => openImage(parent)).toThrow('is in use already')
  closeNow(child)
  expect(imageInfo(at('child.vhdx'))).toMatchObject({
    kind: 'differencing',
    parents: [parent],
    parentProblem: null,
  })
  finish(convertImage(at('child.vhdx'), at('alone.vhdx'), { format: 'vhdx' }))
  expect(imageInfo(at('alone.vhdx')).parents).toEqual([])
  const wanted = contents(parent)
  wanted.fill(77, MIB, MIB + 4096)
  expect(contents(at('alone.vhdx')).equals(wanted)).toBe(true)
})

test('a merged child is in its parent, and gone', () => {
  const parent = make('parent.vhdx', 'vhdx')
  createImage(at('child.vhdx'), { format: 'vhdx', parent })
  const child = openImage(at('child.vhdx'), { flush: 'sync' })
  writeBytes(child, MIB, new Uint8Array(4096).fill(77))
  const wanted = Buffer.from(readBytes(child, 0, 4 * MIB))
  expect(() => mergeImage(at('child.vhdx'))).toThrow('is in use already')
  closeNow(child)
  const reader = openImage(parent, { readOnly: true, flush: 'sync' })
  expect(() => mergeImage(at('child.vhdx'))).toThrow('is in use already')
  closeNow(reader)
  expect(() => mergeImage(parent)).toThrow('has no parent')
  const job = mergeImage(at('child.vhdx'))
  job.step()
  job.abandon()
  expect(contents(at('child.vhdx')).equals(wanted)).toBe(true)
  finish(mergeImage(at('child.vhdx')))
  expect(readdirSync(folder)).toEqual(['parent.vhdx'])
  expect(contents(parent).equals(wanted)).toBe(true)
  expect(checkImage(parent).findings).toEqual([])
})

test('a merged child that was named by a link is gone as well', () => {
  const parent = make('parent.vhdx', 'vhdx')
  createImage(at('child.vhdx'), { format: 'vhdx', parent })
  symlinkSync(at('child.vhdx'), at('link.vhdx'))
  finish(mergeImage(at('link.vhdx')))
  expect(readdirSync(folder)).toEqual(['parent.vhdx'])
})

test('a merge that is given up keeps none of the chain', () => {
  const first = make('first.vhdx', 'vhdx')
  createImage(at('second.vhdx'), { format: 'vhdx', parent: first })
  createImage(at('third.vhdx'), { format: 'vhdx', parent: at('second.vhdx') })
  const job = mergeImage(at('third.vhdx'))
  job.step()
  job.abandon()
  for (const name of readdirSync(folder)) openImage(at(name), { flush: 'sync' }).close()
  expect(readdirSync(folder)).toEqual(['first.vhdx', 'second.vhdx', 'third.vhdx'])
})

test('no child is made that could not be opened', () => {
  const linkage = parseGuid('a9be0ee9-9f1b-4d06-a6a4-2f3a0f2d3c11')
  for (let length = 0; length < 64; length++) {
    const file = createBackingFile(at(`${length}.vhdx`))
    const way = { linkage, linkage2: null, volumePath: null, absolutePath: null }
    const parent = { ...way, relativePath: `${length - 1}.vhdx` }
    const chain = length === 0 ? {} : { parent }
    createVhdx(file, { newGuid: () => linkage, virtualBytes: MIB, ...chain })
    file.close()
  }
  const child = { format: 'vhdx', parent: at('63.vhdx') } as const
  expect(() => createImage(at('64.vhdx'), child)).toThrow('more than 64 files in a row')
  openImage(at('63.vhdx'), { readOnly: true }).close()
  rmSync(at('40.vhdx'))
  const orphan = { format: 'vhdx', parent: at('50.vhdx') } as const
  expect(() => createImage(at('64.vhdx'), orphan)).toThrow('no parent there')
  expect(readdirSync(folder)).toHaveLength(63)
})

test('an image that is written anew stays where it was, for whom it was', () => {
  mkdirSync(at('images'))
  const path = make('images/a.vhd', 'vhd')
  chmodSync(path, 0o640)
  symlinkSync(path, at('link.vhd'))
  finish(compactImage(at('link.vhd')))
  finish(resizeImage(at('link.vhd'), 6 * MIB))
  finish(convertImage(path, at('to.vhd'), { format: 'vhd' }))
  finish(convertImage(at('to.vhd'), at('link.vhd'), { format: 'vhd', replace: true }))
  expect(lstatSync(at('link.vhd')).isSymbolicLink()).toBe(true)
  expect(statSync(path).mode & 0o777).toBe(0o640)
  expect(imageInfo(path).sizeBytes).toBe(6 * MIB)
  expect(readdirSync(at('images'))).toEqual(['a.vhd'])
})

test('a raw image gets no name that says something else', () => {
  expect(() => createImage(at('a.vhd'), { format: 'raw', sizeBytes: MIB })).toThrow('format')
  expect(readdirSync(folder)).toEqual([])
})

test('a chain whose parent is gone says so, and is not opened', () => {
  const parent = make('parent.vhdx', 'vhdx')
  createImage(at('child.vhdx'), { format: 'vhdx', parent })
  rmSync(parent)
  expect(imageInfo(at('child.vhdx')).parentProblem).toContain('no parent there')
  expect(() => openImage(at('child.vhdx'))).toThrow('parent locator: no parent there')
  expect(readdirSync(folder)).toEqual(['child.vhdx'])
})

test('two images that move together find each other', () => {
  createImage(at('parent.vhdx'), { format: 'vhdx', sizeBytes: MIB })
  createImage(at('child.vhdx'), { format: 'vhdx', parent: at('parent.vhdx') })
  const elsewhere = mkdtempSync(join(tmpdir(), 'guestyard-elsewhere-'))
  for (const name of ['parent.vhdx', 'child.vhdx']) {
    writeFileSync(join(elsewhere, name), readFileSync(at(name)))
    rmSync(at(name))
  }
  expect(imageInfo(join(elsewhere, 'child.vhdx')).parents).toEqual([join(elsewhere, 'parent.vhdx')])
  rmSync(elsewhere, { recursive: true })
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
  const source = make('from', 'vhdx')
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
    ['vhdx', true],
    ['vhdx', false],
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
  for (const format of ['vhd', 'vhdx'] as const) {
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
  for (const format of ['vhd', 'vhdx'] as const) {
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
