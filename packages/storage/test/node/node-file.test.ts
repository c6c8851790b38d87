import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { FileStatus, ImageError } from '@guestyard/storage'
import { createBackingFile, openBackingFile } from '@guestyard/storage/file'
import { afterAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'guestyard-file-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('what is written is read, and a hole reads as zeros', () => {
  const file = createBackingFile(join(folder, 'written'))
  expect(file.write(10, Uint8Array.of(0, 1, 2, 3), 1, 3)).toBe(FileStatus.OK)
  expect(file.sizeBytes).toBe(13)
  const bytes = new Uint8Array(new SharedArrayBuffer(8)).fill(9)
  expect(file.read(8, bytes, 2, 5)).toBe(FileStatus.OK)
  expect([...bytes]).toEqual([9, 9, 0, 0, 1, 2, 3, 9])
  expect(file.read(8, bytes, 0, 6)).toBe(FileStatus.BEYOND_END)
  expect(file.resize(11)).toBe(FileStatus.OK)
  expect([file.sizeBytes, readFileSync(file.name).length]).toEqual([11, 11])
  file.close()
})

test('a sync is pending until the host has done it, then wakes whoever polls', async () => {
  const { promise, resolve: wake } = Promise.withResolvers<void>()
  const file = createBackingFile(join(folder, 'synced'), { wake })
  file.write(0, Uint8Array.of(1), 0, 1)
  const first = file.sync()
  const second = file.sync()
  expect([second > first, file.syncStatus(first)]).toEqual([true, FileStatus.PENDING])
  await promise
  expect(file.syncStatus(first)).toBe(FileStatus.OK)
  expect(file.syncStatus(second)).toBe(FileStatus.PENDING)
  file.close()
})

test('a file of synchronous syncs has none pending', () => {
  const file = createBackingFile(join(folder, 'at-once'), { flush: 'sync' })
  expect(file.syncStatus(file.sync())).toBe(FileStatus.OK)
  file.close()
})

test('a file that is only read refuses to change', () => {
  const path = join(folder, 'read')
  writeFileSync(path, 'abc')
  const file = openBackingFile(path, { readOnly: true })
  expect(file.write(0, Uint8Array.of(1), 0, 1)).toBe(FileStatus.READ_ONLY)
  expect(file.resize(0)).toBe(FileStatus.READ_ONLY)
  file.close()
  expect(readFileSync(path, 'utf8')).toBe('abc')
})

test('what can not be opened says why in one line', () => {
  const path = join(folder, 'folder')
  mkdirSync(path)
  expect(() => openBackingFile(path, { readOnly: true })).toThrow(
    new ImageError(path, '', 'is a folder'),
  )
  const absent = join(folder, 'absent')
  expect(() => openBackingFile(absent)).toThrow(`${absent}: no such file or folder`)
  expect(() => createBackingFile(path)).toThrow(`${path}: exists already`)
  expect(() => openBackingFile('/dev/null')).toThrow('/dev/null: is not a regular file')
})
