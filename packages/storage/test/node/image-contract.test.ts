// Every format on the host's own files, whose syncs take their time.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Disk } from '@guestyard/storage'
import { IMAGE_FORMATS, checkImage, createImage, openImage } from '@guestyard/storage/file'
import type { ImageFormat } from '@guestyard/storage/file'
import { diskContract } from '@guestyard/storage/testing'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'

import { Waker } from '../support/waker.ts'

const folder = mkdtempSync(join(tmpdir(), 'guestyard-image-contract-'))
afterAll(() => rmSync(folder, { recursive: true }))

const waker = new Waker()
let count = 0

for (const format of IMAGE_FORMATS) {
  const paths = new Map<Disk, string>()
  const open = (path: string, readOnly: boolean): Disk => {
    const disk = openImage(path, { readOnly, wake: waker.wake })
    paths.set(disk, path)
    return disk
  }

  describe(`a ${format} image of the host's`, () => {
    const suite = diskContract(fc, {
      make: () => open(fresh(format), false),
      makeReadOnly: () => open(fresh(format), true),
      reopen: (closed) => open(paths.get(closed)!, false),
      turn: (disk) => waker.turn(disk),
      runs: 6,
    })
    for (const { name, run } of suite) test(name, run)

    test('is sound after all of that, and nobody has it', () => {
      for (const path of paths.values()) expect(checkImage(path).findings).toEqual([])
      expect(readdirSync(folder).filter((name) => name.endsWith('.lock'))).toEqual([])
    })
  })
}

function fresh(format: ImageFormat): string {
  count += 1
  const path = join(folder, `${count}.${format}`)
  createImage(path, { format, sizeBytes: 256 * 1024 })
  return path
}
