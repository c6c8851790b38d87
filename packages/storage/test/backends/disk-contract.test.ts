import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DiskOperation, DiskStatus, MemoryDisk, RawDisk } from '@guestyard/storage'
import type { DiskRequest } from '@guestyard/storage'
import { openBackingFile } from '@guestyard/storage/file'
import { MemoryFile, diskContract } from '@guestyard/storage/testing'
import type { DiskContractOptions } from '@guestyard/storage/testing'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'

import { Waker } from '../support/waker.ts'

const DISK_BYTES = 256 * 1024
const RUNS = 30

function keeps(what: string, options: DiskContractOptions): void {
  describe(what, () => {
    for (const { name, run } of diskContract(fc, { runs: RUNS, ...options })) test(name, run)
  })
}

keeps('a disk in memory', {
  make: () => new MemoryDisk({ sizeBytes: DISK_BYTES }),
  makeReadOnly: () => new MemoryDisk({ sizeBytes: DISK_BYTES, readOnly: true }),
})

keeps('a disk in memory of 4 KiB blocks', {
  make: () => new MemoryDisk({ sizeBytes: DISK_BYTES, logicalBlockBytes: 4096 }),
})

const zeros = new Uint8Array(DISK_BYTES)
const files = new Map<object, MemoryFile>()
let slowFile = new MemoryFile()

function rawDisk(file: MemoryFile): RawDisk {
  const disk = new RawDisk(file)
  files.set(disk, file)
  return disk
}

keeps('a raw file', {
  make: () => rawDisk(new MemoryFile({ bytes: zeros })),
  makeReadOnly: () => rawDisk(new MemoryFile({ bytes: zeros, readOnly: true })),
  reopen: (closed) => rawDisk(new MemoryFile({ bytes: files.get(closed)!.contents() })),
})

keeps('a raw file of slow syncs', {
  make: () => {
    slowFile = new MemoryFile({ bytes: zeros, slowSyncs: true })
    return rawDisk(slowFile)
  },
  turn: () => {
    slowFile.endSyncs()
    return Promise.resolve()
  },
})

const waker = new Waker()
const folder = mkdtempSync(join(tmpdir(), 'guestyard-contract-'))
afterAll(() => rmSync(folder, { recursive: true }))

keeps("a raw file of the host's", {
  make: () => {
    const path = join(folder, 'raw')
    writeFileSync(path, zeros)
    return new RawDisk(openBackingFile(path, { wake: waker.wake }))
  },
  reopen: () => new RawDisk(openBackingFile(join(folder, 'raw'), { wake: waker.wake })),
  turn: (disk) => waker.turn(disk),
  runs: 10,
})

test('the suite finds a disk that forgets the last block of long writes', async () => {
  class Forgetful extends MemoryDisk {
    override submit(request: DiskRequest): void {
      super.submit(request)
      if (request.operation !== DiskOperation.WRITE || request.status !== DiskStatus.OK) return
      const end = (request.block + request.blockCount) * 512
      if (request.blockCount > 20) this.bytes.fill(0, end - 512, end)
    }
  }
  const make = (): MemoryDisk => new Forgetful({ sizeBytes: DISK_BYTES })
  const failed: string[] = []
  for (const { name, run } of diskContract(fc, { make, runs: RUNS })) {
    await run().catch(() => failed.push(name))
  }
  expect(failed).toEqual(['a block reads as it was last written, however scattered'])
})
