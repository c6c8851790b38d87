import { openVhdx } from '@guestyard/storage'
import type { Disk, VhdxCreateOptions } from '@guestyard/storage'
import { diskContract } from '@guestyard/storage/testing'
import fc from 'fast-check'
import { describe, test } from 'vitest'

import { SparseFile, type SparseBytes } from '../../support/sparse-file.ts'
import { MIB, newGuid, newImage, openCopy, referenceTo } from '../../support/vhdx-images.ts'

const RUNS = 10

/** The suite, over copies of an image. With slow syncs a test lets them end. */
function keeps(what: string, image: SparseBytes, parents: SparseBytes[], slowSyncs: boolean): void {
  const files = new Map<Disk, SparseFile>()
  const open = (from: SparseBytes, readOnly = false): Disk => {
    const { disk, file } = openCopy(from, { readOnly, slowSyncs, parents })
    files.set(disk, file)
    return disk
  }
  const cases = diskContract(fc, {
    runs: RUNS,
    make: () => open(image),
    makeReadOnly: () => open(image, true),
    reopen: (closed) => open(files.get(closed)!.bytes),
    turn: (disk) => {
      files.get(disk)!.endSyncs()
      return Promise.resolve()
    },
  })
  describe(what, () => {
    for (const { name, run } of cases) test(name, run)
  })
}

const plain = newImage()
const reference = referenceTo(plain)
const small: Partial<VhdxCreateOptions> = {
  logicalSectorBytes: 4096,
  virtualBytes: 3 * MIB + 8192,
}

keeps('a dynamic VHDX', plain, [], false)
keeps('a fixed VHDX', newImage({ fixed: true }), [], false)
keeps('a VHDX of 4 KiB sectors whose end lies within a block', newImage(small), [], false)
keeps('a dynamic VHDX on a file of slow syncs', plain, [], true)
keeps('a differencing VHDX', newImage({ parent: reference }), [plain], false)

test('a disk may be opened before anything is written to its file', () => {
  const file = new SparseFile({ bytes: plain.copy() })
  openVhdx(file, { newGuid })
  if (file.writeCount > 0) throw new Error('opening has written')
})
