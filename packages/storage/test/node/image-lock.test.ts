import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  linkSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

import { lockImage } from '@guestyard/storage/file'
import { afterAll, beforeEach, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'guestyard-lock-'))
afterAll(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'disk.vhdx')
const holder = new URL('lock-worker.ts', import.meta.url)

beforeEach(() => {
  writeFileSync(path, 'an image')
})

test('whoever writes is alone, and readers share', () => {
  const writer = lockImage(path, 'write')
  expect(() => lockImage(path, 'write')).toThrow(`${path}: is in use already`)
  expect(() => lockImage(path, 'read')).toThrow(`${path}: is being written by somebody else`)
  writer.release()
  const readers = [lockImage(path, 'read'), lockImage(path, 'read')]
  expect(() => lockImage(path, 'write')).toThrow('is in use already')
  readers[0]!.release()
  expect(() => lockImage(path, 'write')).toThrow('is in use already')
  readers[1]!.release()
  lockImage(path, 'write').release()
})

test('the last owner leaves nothing behind', () => {
  const readers = [lockImage(path, 'read'), lockImage(path, 'read')]
  expect(readdirSync(folder)).toEqual(['disk.vhdx', 'disk.vhdx.lock'])
  for (const reader of readers) reader.release()
  lockImage(path, 'write').release()
  expect(readdirSync(folder)).toEqual(['disk.vhdx'])
})

test('nothing is ever written to the lock, so that nobody waits for the host to make it durable', () => {
  const link = join(folder, 'lock')
  const lock = lockImage(path, 'write')
  linkSync(`${path}.lock`, link)
  lock.release()
  expect(statSync(link).size).toBe(0)
  rmSync(link)
})

test('a link is the file that it leads to', () => {
  const link = join(folder, 'link.vhdx')
  symlinkSync(path, link)
  const lock = lockImage(path, 'write')
  expect(() => lockImage(link, 'write')).toThrow('is in use already')
  lock.release()
  rmSync(link)
})

test('a thread of this process is locked out as a stranger is', async () => {
  const worker = new Worker(holder, { workerData: path })
  const [said] = (await once(worker, 'message')) as [string]
  expect(said).toBe('locked')
  expect(() => lockImage(path, 'write')).toThrow('is in use already')
  await worker.terminate()
  lockImage(path, 'write').release()
})

test('a process that is killed keeps no lock', async () => {
  const child = spawn(process.execPath, [fileURLToPath(holder), path], { stdio: 'pipe' })
  try {
    await once(child.stdout, 'data')
    expect(() => lockImage(path, 'read')).toThrow('is being written by somebody else')
  } finally {
    child.kill('SIGKILL')
  }
  await once(child, 'exit')
  lockImage(path, 'write').release()
})

test('a file of another kind in the place of the lock is left alone', () => {
  writeFileSync(
    `${path}.lock`,
    'notes that somebody keeps here, much longer than a header is. '.repeat(9),
  )
  expect(() => lockImage(path, 'write')).toThrow(`${path}: can't be locked: `)
  rmSync(`${path}.lock`)
})
