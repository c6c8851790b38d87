// A host without room, and one whose syncs fail.

import { DiskOperation, DiskStatus, FileStatus, checkVhdx } from '@guestyard/storage'
import fc from 'fast-check'
import { expect, test } from 'vitest'

import { SparseFile } from '../../support/sparse-file.ts'
import {
  MIB,
  close,
  filled,
  flush,
  newImage,
  openCopy,
  read,
  referenceTo,
  run,
  write,
} from '../../support/vhdx-images.ts'

const image = newImage({ virtualBytes: 16 * MIB })
const child = newImage({ virtualBytes: 16 * MIB, parent: referenceTo(image) })

test('a write that has no room says so, and is done once there is some', () => {
  const { disk, file } = openCopy(image)
  write(disk, 0, filled(4096, 1))
  expect(flush(disk)).toBe(DiskStatus.OK)
  file.roomBytes = file.sizeBytes
  expect(write(disk, 5 * MIB, filled(4096, 2))).toBe(DiskStatus.NO_SPACE)
  expect(file.sizeBytes).toBe(file.roomBytes)
  expect(read(disk, 5 * MIB, 4096)).toEqual(filled(4096, 0))
  expect(write(disk, 4096, filled(4096, 3))).toBe(DiskStatus.OK)
  file.roomBytes = Infinity
  expect(write(disk, 5 * MIB, filled(4096, 4))).toBe(DiskStatus.OK)
  expect(close(disk)).toBe(DiskStatus.OK)
  const again = openCopy(file.bytes).disk
  expect([read(again, 0, 512)[0], read(again, 4096, 512)[0], read(again, 5 * MIB, 512)[0]]).toEqual(
    [1, 3, 4],
  )
})

test('a flush that has no room for the log fails, and the next one makes up for it', () => {
  const { disk, file } = openCopy(image)
  write(disk, 0, filled(4096, 1))
  file.onWrite = (position) => (position < 2 * MIB ? FileStatus.NO_SPACE : FileStatus.OK)
  expect(flush(disk)).toBe(DiskStatus.NO_SPACE)
  expect(run(disk, DiskOperation.WRITE, MIB, filled(512, 2), true)).toBe(DiskStatus.NO_SPACE)
  file.onWrite = () => FileStatus.OK
  expect(flush(disk)).toBe(DiskStatus.OK)
  // The power goes: nothing is closed.
  const found = openCopy(file.bytes).disk
  expect([read(found, 0, 512)[0], read(found, MIB, 512)[0]]).toEqual([1, 2])
})

test('without room anywhere, at any write, what was acknowledged stays, and all goes on later', () => {
  const operation = fc.record({
    kind: fc.constantFrom('write', 'write', 'write', 'zero', 'unmap', 'flush', 'full'),
    block: fc.nat(15),
    sector: fc.constantFrom(0, 1, 700, 2040),
    count: fc.integer({ min: 1, max: 16 }),
    /** Which writes of the file fail, out of the next so many. */
    failing: fc.integer({ min: 1, max: 4 }),
  })
  const property = fc.property(
    fc.boolean(),
    fc.array(operation, { minLength: 1, maxLength: 30 }),
    (isChild, operations) => {
      const { disk, file } = openCopy(isChild ? child : image, { parents: isChild ? [image] : [] })
      /** What each sector may hold. */
      const model = new Map<number, Set<number>>()
      let generation = 0
      let count = 0
      for (const { kind, block, sector, count: sectors, failing } of operations) {
        if (kind === 'full') {
          file.onWrite = () => (++count % failing === 0 ? FileStatus.NO_SPACE : FileStatus.OK)
          continue
        }
        if (kind === 'flush') {
          expect([DiskStatus.OK, DiskStatus.NO_SPACE]).toContain(flush(disk))
          continue
        }
        generation = kind === 'write' ? (generation % 250) + 1 : generation
        const value = kind === 'write' ? generation : 0
        const first = Math.min(block * 2048 + (kind === 'write' ? sector : 0), 16 * 2048 - 2048)
        const length = kind === 'write' ? sectors : 2048
        const status =
          kind === 'write'
            ? write(disk, first * 512, filled(length * 512, value))
            : run(
                disk,
                kind === 'zero' ? DiskOperation.WRITE_ZEROES : DiskOperation.UNMAP,
                first * 512,
                length * 512,
              )
        expect([DiskStatus.OK, DiskStatus.NO_SPACE]).toContain(status)
        for (let at = first; at < first + length; at += 1) {
          if (!isWatched(at)) continue
          if (status === DiskStatus.OK) model.set(at, new Set([value]))
          else model.set(at, new Set([...(model.get(at) ?? [0]), value]))
        }
      }
      file.onWrite = () => FileStatus.OK
      expect(write(disk, 15 * MIB, filled(512, 251))).toBe(DiskStatus.OK)
      model.set(15 * 2048, new Set([251]))
      expect(close(disk)).toBe(DiskStatus.OK)
      expect(checkVhdx(new SparseFile({ bytes: file.bytes })).findings).toEqual([])
      const again = openCopy(file.bytes, { readOnly: true, parents: isChild ? [image] : [] }).disk
      const bytes = read(again, 0, 16 * MIB)
      for (const [at, allowed] of model) {
        const value = bytes[at * 512]!
        if (!allowed.has(value) || bytes[at * 512 + 511] !== value) {
          throw new Error(`sector ${at} holds ${value}, not ${[...allowed].join(' or ')}`)
        }
      }
    },
  )
  fc.assert(property, { numRuns: 25 })
})

/** The sectors that writes may go to, and of all others none. */
function isWatched(sector: number): boolean {
  const inBlock = sector % 2048
  return inBlock < 20 || (inBlock >= 700 && inBlock < 720) || inBlock >= 2040
}

test('a sync that fails ends all writing: nobody knows what the medium has', () => {
  const { disk, file } = openCopy(image)
  write(disk, 0, filled(4096, 1))
  file.syncsEndWith = FileStatus.IO_ERROR
  expect(flush(disk)).toBe(DiskStatus.WRITE_ERROR)
  expect(write(disk, 0, filled(512, 2))).toBe(DiskStatus.WRITE_ERROR)
  expect(flush(disk)).toBe(DiskStatus.WRITE_ERROR)
  expect(read(disk, 0, 512)[0]).toBe(1)
  expect(close(disk)).toBe(DiskStatus.WRITE_ERROR)
})
