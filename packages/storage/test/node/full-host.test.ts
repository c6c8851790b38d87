// A file system that fills up under the images on it: a real one, of 8 MiB.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DiskOperation, DiskRequest, DiskStatus } from '@guestyard/storage'
import type { Disk } from '@guestyard/storage'
import { checkImage, convertImage, createImage, openImage } from '@guestyard/storage/file'
import type { ImageFormat } from '@guestyard/storage/file'
import { afterAll, describe, expect, test } from 'vitest'

import { closeNow, readBytes, writeBytes } from '../support/disk-bytes.ts'

const MIB = 2 ** 20

const folder = mkdtempSync(join(tmpdir(), 'guestyard-full-'))
const mounted = spawnSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=8m', 'guestyard-test', folder])
const isMounted = mounted.status === 0
if (!isMounted) console.warn('skipped: a full host (nothing may be mounted here)')
afterAll(() => {
  if (isMounted) spawnSync('/bin/umount', [folder])
  rmdirSync(folder)
})

describe.skipIf(!isMounted)('a host that is full', () => {
  for (const format of ['raw', 'vhd', 'vhdx'] as const) {
    test(`ends writes to a ${format} image with NO_SPACE, and room makes them work again`, () => {
      const path = make(format)
      const disk = openImage(path, { flush: 'sync' })
      writeBytes(disk, 0, pattern(0))
      flush(disk)
      const ballast = join(folder, 'ballast')
      fill(ballast)
      let failed = -1
      for (let at = 1; failed < 0 && at < 16; at++) {
        const status = submit(disk, DiskOperation.WRITE, at * MIB, pattern(at))
        if (status !== DiskStatus.OK) failed = at
        expect([DiskStatus.OK, DiskStatus.NO_SPACE]).toContain(status)
      }
      expect(failed).toBeGreaterThan(0)
      expect(readBytes(disk, 0, MIB / 4)).toEqual(pattern(0))
      rmSync(ballast)
      writeBytes(disk, failed * MIB, pattern(failed))
      flush(disk)
      closeNow(disk)
      expect(checkImage(path).findings).toEqual([])
      const again = openImage(path, { flush: 'sync', readOnly: true })
      expect(readBytes(again, 0, MIB / 4)).toEqual(pattern(0))
      expect(readBytes(again, failed * MIB, MIB / 4)).toEqual(pattern(failed))
      closeNow(again)
      rmSync(path)
    })
  }

  test('ends a conversion with one line, and leaves nothing of it', () => {
    const path = make('vhd')
    const disk = openImage(path, { flush: 'sync' })
    for (let at = 0; at < 5; at++) writeBytes(disk, at * MIB, pattern(at))
    closeNow(disk)
    const job = convertImage(path, join(folder, 'copy.img'), { format: 'raw' })
    fill(join(folder, 'ballast'))
    expect(() => {
      while (!job.step());
    }).toThrow(`${join(folder, 'copy.img')}: no space left on the host`)
    job.abandon()
    expect(readdirSync(folder).sort()).toEqual(['ballast', 'disk.vhd'])
    for (const name of readdirSync(folder)) rmSync(join(folder, name))
  })

  test('lets go of a lock whole', () => {
    const path = make('vhdx')
    fill(join(folder, 'ballast'))
    openImage(path, { flush: 'sync' }).close()
    expect(readdirSync(folder).sort()).toEqual(['ballast', 'disk.vhdx'])
    for (const name of readdirSync(folder)) rmSync(join(folder, name))
  })

  test('makes no image that does not fit', () => {
    fill(join(folder, 'ballast'))
    const path = join(folder, 'new.vhdx')
    expect(() => createImage(path, { format: 'vhdx', sizeBytes: MIB })).toThrow(path)
    expect(readdirSync(folder)).toEqual(['ballast'])
  })
})

function make(format: ImageFormat): string {
  const path = join(folder, `disk.${format}`)
  const blocks = format === 'raw' ? {} : { blockBytes: MIB }
  createImage(path, { format, sizeBytes: 16 * MIB, ...blocks })
  return path
}

function pattern(at: number): Uint8Array {
  return new Uint8Array(MIB / 4).fill(at + 1)
}

/** Takes all the room there is. */
function fill(path: string): void {
  expect(() => writeFileSync(path, new Uint8Array(9 * MIB))).toThrow('ENOSPC')
}

function flush(disk: Disk): void {
  expect(submit(disk, DiskOperation.FLUSH, 0, new Uint8Array(0))).toBe(DiskStatus.OK)
}

function submit(
  disk: Disk,
  operation: DiskOperation,
  position: number,
  bytes: Uint8Array,
): DiskStatus {
  const request = new DiskRequest(1)
  request.operation = operation
  request.block = position / 512
  request.blockCount = bytes.length / 512
  request.data.beginBytes(bytes)
  if (bytes.length > 0) request.data.add(0, bytes.length)
  disk.submit(request)
  for (let polls = 0; request.status === DiskStatus.PENDING && polls < 1000; polls++) disk.poll(64)
  return request.status
}
