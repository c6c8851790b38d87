import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  truncateSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { openImage } from '@guestyard/storage/file'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { runCommand } from '../src/index.ts'

const COMMAND = fileURLToPath(new URL('../bin/guestyard.js', import.meta.url))

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'guestyard-cli-disk-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function at(name: string): string {
  return join(folder, name)
}

/** Words with a slash at their start are files of the test's folder. */
async function disk(line: string): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const args = line.split(' ').map((word) => (word.startsWith('/') ? at(word.slice(1)) : word))
  let stdout = ''
  let stderr = ''
  const sink = (take: (text: string) => void): NodeJS.WritableStream =>
    ({ write: (text: string) => (take(text), true) }) as NodeJS.WritableStream
  const exitCode = await runCommand(['disk', ...args], {
    stdout: sink((text) => (stdout += text)),
    stderr: sink((text) => (stderr += text)),
  })
  return { exitCode, stdout: stdout.replaceAll(folder, ''), stderr: stderr.replaceAll(folder, '') }
}

async function json(line: string): Promise<Record<string, unknown>> {
  const { exitCode, stdout, stderr } = await disk(`${line} --json`)
  expect([exitCode, stderr]).toEqual([0, ''])
  return JSON.parse(stdout) as Record<string, unknown>
}

test('an image is made by its name, its size and its options', async () => {
  expect(await json('create /a.vhdx --size 1GiB')).toMatchObject({
    format: 'vhdx',
    kind: 'dynamic',
    sizeBytes: 2 ** 30,
    logicalBlockBytes: 512,
    physicalBlockBytes: 4096,
  })
  const blocks = '--block-size 1MiB --sector 4096'
  expect(await json(`create /b --size 64MiB ${blocks} --fixed`)).toMatchObject({
    format: 'vhdx',
    kind: 'fixed',
    logicalBlockBytes: 4096,
  })
  expect(await json('create /c.vhd --size 64MiB')).toMatchObject({ format: 'vhd', kind: 'dynamic' })
  expect(await json('create /d.img --size 64MiB')).toMatchObject({ format: 'raw' })
  expect(await json('create /e.img --size 1TiB --format vhdx')).toMatchObject({ format: 'vhdx' })
  expect(await json('create /f.vhdx --parent /a.vhdx')).toMatchObject({
    kind: 'differencing',
    sizeBytes: 2 ** 30,
    parents: ['/a.vhdx'],
  })
})

test('info, resize, convert, compact and check say what there is', async () => {
  await disk('create /a.vhd --size 64MiB')
  expect((await disk('info /a.vhd')).stdout).toMatch(
    /^\/a\.vhd: vhd, dynamic\n {2}disk {6}64 MiB \(67108864 bytes\)\n/,
  )
  expect(await json('resize /a.vhd --size 128MiB')).toMatchObject({ sizeBytes: 2 ** 27 })
  expect(await json('convert /a.vhd /b.vhdx')).toMatchObject({ format: 'vhdx', sizeBytes: 2 ** 27 })
  expect(await json('compact /a.vhd')).toMatchObject({ path: '/a.vhd' })
  expect(await disk('check /a.vhd')).toEqual({ exitCode: 0, stdout: '/a.vhd: sound\n', stderr: '' })
  expect(readdirSync(folder).sort()).toEqual(['a.vhd', 'b.vhdx'])
})

test('what a guest wrote into its raw disk makes no other image of it', async () => {
  const bytes = Buffer.alloc(2 ** 20)
  bytes.write('vhdxfile')
  writeFileSync(at('guest.img'), bytes)
  expect((await disk('resize /guest.img --size 2MiB')).exitCode).toBe(2)
  const raw = '--format raw'
  expect(await json(`resize /guest.img --size 2MiB ${raw}`)).toMatchObject({ sizeBytes: 2 ** 21 })
  expect(await json(`info /guest.img ${raw}`)).toMatchObject({ format: 'raw' })
  const copy = await json('convert /guest.img /copy.vhdx --from-format raw')
  expect(copy).toMatchObject({ format: 'vhdx', sizeBytes: 2 ** 21 })
  const other = await json('convert /guest.img /other.img --from-format raw')
  expect(other).toMatchObject({ format: 'raw', sizeBytes: 2 ** 21 })
  expect((await disk('convert /guest.img /b.img --from-format vhd')).stderr).toContain('is no vhd')
})

test('damage is an exit code of 1, and named', async () => {
  await disk('create /a.vhd --size 64MiB')
  truncateSync(at('a.vhd'), 700)
  const { exitCode, stdout } = await disk('check /a.vhd')
  expect(exitCode).toBe(1)
  expect(stdout).toMatch(/^\/a\.vhd: error: header: .+\n\/a\.vhd: damaged \(1 error\)\n$/)
})

describe('what is wrong is refused on one line, with exit code 2, and nothing is done', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['create', "missing required argument 'file'"],
    ['create /new.vhdx', '--size: how large shall the disk be?'],
    ['create /new.vhd --size 3TiB', '/new.vhd: size: 3298534883328 is no multiple of 512 up to'],
    ['create /new.vhd --size 1MiB --sector 512', '--sector: a vhd image does not say'],
    ['create /new.img --size 1MiB --block-size 1MiB', '/new.img: block size: raw has none'],
    ['create /new.img --size 1MiB --parent /a.img', '/new.img: parent: only a vhdx image has one'],
    ['create /new.vhdx --parent /a.img', '/a.img: '],
    ['create /new.vhdx --parent /a.vhdx --sector 512', "--sector: a child has its parent's blocks"],
    ['create /new.vhdx --size 1MiB --format qcow2', "option '--format <format>' argument 'qcow2'"],
    ['create /a.img --size 1MiB', '/a.img: exists already'],
    ['create /none/new.img --size 1MiB', '/none/new.img: no such file or folder'],
    ['info /none', '/none: no such file or folder'],
    ['info /', ': is a folder'],
    ['resize /a.img', "required option '--size <size>' not specified"],
    ['resize /a.img --size 512B', '/a.img: size: the disk has 4096 bytes: 512 would cut it off'],
    ['compact /a.img', '/a.img: a raw image keeps all of its disk'],
    ['convert /a.img /a.img --force', '/a.img: is the image that is copied'],
    ['convert /a.img', "missing required argument 'to'"],
    ['frobnicate /a.img', "unknown command 'frobnicate'"],
  ]
  for (const [line, problem] of cases) {
    test(line, async () => {
      writeFileSync(at('a.img'), new Uint8Array(4096).fill(1))
      const { exitCode, stdout, stderr } = await disk(line)
      expect([exitCode, stdout]).toEqual([2, ''])
      expect(stderr).toMatch(/^guestyard: [^\n]+\n$/)
      expect(stderr).toContain(`guestyard: ${problem}`)
      expect(readdirSync(folder)).toEqual(['a.img'])
    })
  }
})

test('an image that is in use is refused', async () => {
  await disk('create /a.vhdx --size 64MiB')
  const user = openImage(at('a.vhdx'), { flush: 'sync' })
  for (const line of ['info /a.vhdx', 'check /a.vhdx', 'convert /a.vhdx /b.img']) {
    const { exitCode, stderr } = await disk(line)
    expect([exitCode, stderr]).toEqual([
      2,
      'guestyard: /a.vhdx: is being written by somebody else\n',
    ])
  }
  const resize = await disk('resize /a.vhdx --size 128MiB')
  expect([resize.exitCode, resize.stderr]).toEqual([2, 'guestyard: /a.vhdx: is in use already\n'])
  user.close()
})

test('Ctrl-C ends a conversion with 130, and leaves what was there', async () => {
  writeFileSync(at('a.img'), '')
  truncateSync(at('a.img'), 2 ** 40)
  const begun = Promise.withResolvers<void>()
  const watcher = watch(folder, (_, name) => {
    if (name?.endsWith('.new') === true) begun.resolve()
  })
  const args = [COMMAND, 'disk', 'convert', at('a.img'), at('b.vhdx')]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  await begun.promise
  watcher.close()
  child.kill('SIGINT')
  const [exitCode] = (await once(child, 'close')) as [number | null]
  expect([exitCode, stderr]).toEqual([130, 'guestyard: interrupted\n'])
  expect(readdirSync(folder)).toEqual(['a.img'])
  expect(existsSync(at('b.vhdx'))).toBe(false)
})
