import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DiskOperation, DiskRequest, DiskStatus, RawDisk } from '@guestyard/storage'
import { openBackingFile } from '@guestyard/storage/file'
import { afterAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'guestyard-raw-'))
afterAll(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'disk.img')

test('flushes that come during a sync share the next one', async () => {
  writeFileSync(path, new Uint8Array(4096))
  let wake = Promise.withResolvers<void>()
  const disk = new RawDisk(openBackingFile(path, { wake: () => wake.resolve() }))
  const write = new DiskRequest(1)
  write.operation = DiskOperation.WRITE
  write.block = 7
  write.blockCount = 1
  write.data.beginBytes(new Uint8Array(512).fill(5))
  write.data.add(0, 512)
  disk.submit(write)
  expect(write.status).toBe(DiskStatus.OK)
  const flushes = [new DiskRequest(0), new DiskRequest(0), new DiskRequest(0)]
  for (const flush of flushes) {
    flush.operation = DiskOperation.FLUSH
    disk.submit(flush)
  }
  expect(disk.poll(8)).toBe(0)
  await wake.promise
  wake = Promise.withResolvers()
  expect(disk.poll(8)).toBe(1)
  await wake.promise
  expect(disk.poll(8)).toBe(2)
  expect(flushes.map((flush) => flush.status)).toEqual([0, 0, 0])
  wake = Promise.withResolvers()
  disk.close()
  await wake.promise
  disk.poll(1)
  expect([disk.closed, disk.closeStatus]).toEqual([true, DiskStatus.OK])
  expect(readFileSync(path)[3584]).toBe(5)
})

test('a file of half a block is no disk', () => {
  writeFileSync(path, new Uint8Array(1000))
  const file = openBackingFile(path, { readOnly: true })
  expect(() => new RawDisk(file)).toThrow('size: 1000 bytes are no whole number of 512-byte blocks')
  file.close()
})
