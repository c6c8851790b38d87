// Debian's packages: read as dpkg reads them, and refused where they are damaged, endless or lead out of their root.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'

import { FetchError } from '@guestyard/x86-partition/node'
import fc from 'fast-check'
import { packTar } from 'modern-tar'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { debFiles } from '../../src/node/fetch/deb-archive.ts'
import { unpacked } from '../../src/node/fetch/unpacked.ts'
import { ar, deb, tar } from './tiny-archive.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'guestyard-deb-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

async function filesOf(bytes: Uint8Array): Promise<Record<string, string>> {
  const archive = join(folder, 'a.deb')
  writeFileSync(archive, bytes)
  const files: Record<string, string> = {}
  for await (const file of debFiles(archive, (path) => !path.startsWith('not/'))) {
    files[file.path] = Buffer.from(file.bytes).toString()
  }
  return files
}

const CONTENT = { './bin/a': 'one', './not/b': 'two', './lib/c': 'three' }
const READ = { 'bin/a': 'one', 'lib/c': 'three' }

/** A stock xz's, or null where there is none. */
function xz(bytes: Uint8Array): Uint8Array | null {
  try {
    return execFileSync('xz', ['-c'], { input: bytes, stdio: ['pipe', 'pipe', 'ignore'] })
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === 'ENOENT') return null
    throw error
  }
}

test.each<[string, (bytes: Uint8Array) => Uint8Array | null]>([
  ['data.tar', (bytes) => bytes],
  ['data.tar.gz', (bytes) => gzipSync(bytes)],
  ['data.tar.zst', (bytes) => zstdCompressSync(bytes)],
  ['data.tar.xz', xz],
])('the files that are wanted are read out of %s', async (member, pack) => {
  const packed = pack(await tar(CONTENT))
  if (packed === null) return
  expect(await filesOf(deb(member, packed))).toEqual(READ)
})

test('what dpkg-deb builds is read', async (context) => {
  const root = join(folder, 'root')
  execFileSync('mkdir', ['-p', join(root, 'DEBIAN'), join(root, 'bin')])
  const control = 'Package: a\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: a\n'
  writeFileSync(join(root, 'DEBIAN', 'control'), control)
  writeFileSync(join(root, 'bin', 'a'), 'one')
  const built = join(folder, 'built.deb')
  try {
    execFileSync('dpkg-deb', ['--build', '--root-owner-group', root, built], { stdio: 'pipe' })
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== 'ENOENT') throw error
    context.skip('dpkg-deb is not installed')
  }
  const files: string[] = []
  for await (const { path } of debFiles(built, () => true)) files.push(path)
  expect(files).toEqual(['bin/a'])
})

test.each(['/etc/passwd', '../up', './../up', 'a/../../up', './a/..', './not/../../up'])(
  'an archive with a file called %j is refused, whoever wants it',
  async (name) => {
    const archive = deb('data.tar', await tar({ './bin/a': 'one', [name]: 'x' }))
    await expect(filesOf(archive)).rejects.toThrow('leads out of the archive')
    expect(readdirSync(folder)).toEqual(['a.deb'])
    expect(existsSync(join(folder, '..', 'up'))).toBe(false)
  },
)

test('links are no files: what they lead to is never read', async () => {
  const entries = [
    { header: { name: './bin/a', size: 0, type: 'symlink', linkname: '/etc/hostname' } },
    { header: { name: './bin/b', size: 0, type: 'link', linkname: '/etc/hostname' } },
    { header: { name: './bin/c', size: 1 }, body: 'x' },
  ] as const
  expect(await filesOf(deb('data.tar', await packTar(entries)))).toEqual({ 'bin/c': 'x' })
})

/** The size field of the first header, whose sum is put right. */
function withSize(archive: Uint8Array, octal: string): Uint8Array {
  const changed = Buffer.from(archive)
  changed.write(octal.padStart(11, '0'), 124, 'latin1')
  changed.fill(' ', 148, 156)
  const sum = changed.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  changed.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return changed
}

test('a file that claims to be of gigabytes is refused before a byte of it is kept', async () => {
  const archive = withSize(await tar({ './bin/a': 'one' }), '77777777777')
  await expect(filesOf(deb('data.tar', archive))).rejects.toThrow(
    'a.deb: bin/a is of 8589934591 bytes',
  )
  const skipped = withSize(await tar({ './not/b': 'two' }), '77777777777')
  await expect(filesOf(deb('data.tar', skipped))).rejects.toThrow('a.deb: ')
})

test('what unpacks to more than was said is left there', async () => {
  const path = join(folder, 'bomb')
  writeFileSync(path, gzipSync(Buffer.alloc(16 * 1024 * 1024)))
  let length = 0
  const reading = async (): Promise<void> => {
    const bytes = unpacked(path, { name: 'bomb', form: 'bomb.gz', bytesMax: 1 << 20 })
    for await (const piece of bytes) length += piece.length
  }
  await expect(reading()).rejects.toThrow('bomb: unpacks to more than 1048576 bytes')
  expect(length).toBeLessThanOrEqual(1 << 20)
})

const DATA = ['data.tar', Buffer.alloc(1024)] as const

test.each<[string, Uint8Array]>([
  ['nothing', Buffer.alloc(0)],
  ['text', Buffer.from('<html>Welcome to our hotel</html>')],
  ['an archive of nothing', ar([])],
  ['an archive without data', ar([['debian-binary', Buffer.from('2.0\n')]])],
  ['data that is packed in an unknown way', ar([['data.tar.lzma', Buffer.alloc(8)]])],
  ['data of no bytes', ar([['data.tar', Buffer.alloc(0)]])],
  ['a member that goes past the end', ar([DATA]).subarray(0, 600)],
  ['half a header', ar([DATA]).subarray(0, 40)],
  ['xz that is none', ar([['data.tar.xz', Buffer.alloc(512, 7)]])],
  ['gzip that is none', ar([['data.tar.gz', Buffer.alloc(512, 7)]])],
  ['Zstandard that is none', ar([['data.tar.zst', Buffer.alloc(512, 7)]])],
  ['gzip that ends early', ar([['data.tar.gz', gzipSync(Buffer.alloc(99_999)).subarray(0, 50)]])],
  ['a tar of garbage', ar([['data.tar', Buffer.alloc(2048, 'x')]])],
  [
    'more members than a package has',
    ar(Array.from({ length: 17 }, () => ['x', Buffer.from('y')])),
  ],
])('%s is no package, and said in one line', async (_what, bytes) => {
  const error: unknown = await filesOf(bytes).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(FetchError)
  expect((error as Error).message).toMatch(/^a[.]deb: .+$/)
})

test('xz that ends early is refused, and the next archive is read all the same', async (context) => {
  const whole = xz(await tar({ './bin/a': 'one'.repeat(9999) }))
  if (whole === null) return context.skip('xz is not installed')
  const cut = whole.subarray(0, whole.length - 40)
  await expect(filesOf(deb('data.tar.xz', cut))).rejects.toThrow(FetchError)
  expect(Object.keys(await filesOf(deb('data.tar.xz', whole)))).toEqual(['bin/a'])
})

test('bytes of any kind are a package or a FetchError', async () => {
  const sound = deb('data.tar', await tar(CONTENT))
  const change = fc.record({ at: fc.nat(sound.length - 1), to: fc.nat(255) })
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), async (changes) => {
      const bytes = Uint8Array.from(sound)
      for (const { at, to } of changes) bytes[at] = to
      const files: unknown = await filesOf(bytes).catch((error: unknown) => error)
      if (files instanceof Error) expect(files).toBeInstanceOf(FetchError)
    }),
    { numRuns: 300 },
  )
})
