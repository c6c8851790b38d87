import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DiskOperation, DiskRequest, DiskStatus, RawDisk } from '@guestyard/storage'
import type { BackingFile } from '@guestyard/storage'
import { openBackingFile } from '@guestyard/storage/file'
import { afterAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'guestyard-raw-'))
afterAll(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'disk.img')
const MIB = 2 ** 20

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

test('zeros are written from bytes that begin at a page, so that a kill in mid-write tears no block', () => {
  writeFileSync(path, new Uint8Array(MIB).fill(5))
  const file = openBackingFile(path)
  const given: Uint8Array[] = []
  const disk = new RawDisk({
    ...methodsOf(file),
    write(position, bytes, at, lengthBytes) {
      expect(at).toBe(0)
      given.push(bytes)
      return file.write(position, bytes, at, lengthBytes)
    },
  })
  const request = new DiskRequest(1)
  request.operation = DiskOperation.WRITE_ZEROES
  request.block = 3
  request.blockCount = 1000
  disk.submit(request)
  while (request.status === DiskStatus.PENDING) disk.poll(8)
  expect(request.status).toBe(DiskStatus.OK)
  expect(given.length).toBeGreaterThan(0)
  for (const { buffer, byteOffset } of given) {
    // The memory of WebAssembly, which the platform maps by pages; a buffer of its heap begins anywhere.
    expect(buffer).toBeInstanceOf(SharedArrayBuffer)
    expect(byteOffset).toBe(0)
  }
  const left = readFileSync(path)
  expect([left[3 * 512 - 1], left[1003 * 512]]).toEqual([5, 5])
  expect(left.subarray(3 * 512, 1003 * 512).every((byte) => byte === 0)).toBe(true)
  disk.close()
})

/** Its members, bound to it. */
function methodsOf(file: BackingFile): BackingFile {
  return {
    name: file.name,
    readOnly: file.readOnly,
    sizeBytes: file.sizeBytes,
    lastError: file.lastError,
    read: (...given) => file.read(...given),
    write: (...given) => file.write(...given),
    resize: (sizeBytes) => file.resize(sizeBytes),
    sync: () => file.sync(),
    syncStatus: (ticket) => file.syncStatus(ticket),
    close: () => file.close(),
  }
}
