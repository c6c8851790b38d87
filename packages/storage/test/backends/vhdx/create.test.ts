import { FileStatus, ImageError, checkVhdx, createVhdx, openVhdx } from '@guestyard/storage'
import type { VhdxCreateOptions } from '@guestyard/storage'
import { expect, test } from 'vitest'

import { SparseFile } from '../../support/sparse-file.ts'
import { MIB, newGuid, newImage, openCopy } from '../../support/vhdx-images.ts'

function creating(options: Partial<VhdxCreateOptions>): () => number {
  return () => createVhdx(new SparseFile(), { virtualBytes: 4 * MIB, newGuid, ...options })
}

test('sizes that are none are refused by name', () => {
  for (const virtualBytes of [0, -MIB, 513, 2 ** 46 + 512, Number.NaN, 0.5]) {
    expect(creating({ virtualBytes })).toThrow(/virtual disk size/)
  }
  for (const blockBytes of [0, 512 * 1024, 3 * MIB, 512 * MIB, Number.NaN]) {
    expect(creating({ blockBytes })).toThrow(/block size/)
  }
  expect(creating({ virtualBytes: 512, logicalSectorBytes: 4096 })).toThrow(/virtual disk size/)
})

test('a file with something in it is not made an image', () => {
  const file = new SparseFile()
  file.write(0, Uint8Array.of(1), 0, 1)
  const writes = file.writeCount
  expect(() => createVhdx(file, { virtualBytes: MIB, newGuid })).toThrow(ImageError)
  expect(file.writeCount).toBe(writes)
})

test('an image whose making ends at any write is none, and says why it ended', () => {
  for (const options of [{}, { fixed: true }]) {
    const file = new SparseFile()
    createVhdx(file, { virtualBytes: 4 * MIB, newGuid, ...options })
    for (let last = 0; last < file.writeCount; last += 1) {
      const full = new SparseFile({ name: 'disk.vhdx' })
      full.onWrite = () => (full.writeCount > last ? FileStatus.NO_SPACE : FileStatus.OK)
      const create = (): number => createVhdx(full, { virtualBytes: 4 * MIB, newGuid, ...options })
      expect(create).toThrow(/^disk\.vhdx: .*: no space left for it on the host$/)
      expect(() => openVhdx(full, { newGuid })).toThrow(ImageError)
    }
  }
})

test('a disk of any shape opens with the geometry that it was made with', () => {
  for (const [logicalSectorBytes, physicalSectorBytes] of [
    [512, 512],
    [512, 4096],
    [4096, 4096],
  ] as const) {
    for (const fixed of [false, true]) {
      const image = newImage({
        virtualBytes: 5 * MIB,
        fixed,
        logicalSectorBytes,
        physicalSectorBytes,
      })
      const { disk, file } = openCopy(image)
      expect(disk.geometry).toMatchObject({
        logicalBlockBytes: logicalSectorBytes,
        physicalBlockBytes: physicalSectorBytes,
        blockCount: (5 * MIB) / logicalSectorBytes,
        readOnly: false,
        canUnmap: !fixed,
      })
      const { findings, allocatedBlocks, totalBlocks } = checkVhdx(file)
      expect([findings, allocatedBlocks, totalBlocks]).toEqual([[], fixed ? 5 : 0, 5])
    }
  }
})
