// What a Linux guest is made of on the host: archives, modules in order, and a cache that says what is wrong with it.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  BootError,
  cpioArchive,
  dependenciesOf,
  inLoadOrder,
  initramfs,
} from '@guestyard/x86-partition'
import { readLinuxGuest, readManifest } from '@guestyard/x86-partition/node'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { LINUX_MODULES } from '../src/guest/linux-modules.ts'
import { sha256 } from '../src/node/linux-cache.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'guestyard-linux-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const text = (words: string): Uint8Array => new TextEncoder().encode(words)

test('an archive has the header that Linux reads, and each part at a multiple of four', () => {
  const archive = cpioArchive([{ is: 'file', path: 'a', bytes: text('hello'), isExecutable: true }])
  const header = new TextDecoder().decode(archive.subarray(0, 110))
  const fields = header
    .slice(6)
    .match(/.{8}/g)!
    .map((field) => Number.parseInt(field, 16))
  expect(header.slice(0, 6)).toBe('070701')
  expect(fields).toEqual([1, 0o100755, 0, 0, 1, 0, 5, 0, 0, 0, 0, 2, 0])
  expect(new TextDecoder().decode(archive.subarray(112, 117))).toBe('hello')
  expect(archive.length % 4).toBe(0)
  expect(new TextDecoder().decode(archive)).toContain('TRAILER!!!')
})

test('cpio unpacks what was packed', (context) => {
  const archive = cpioArchive([
    { is: 'directory', path: 'd' },
    { is: 'file', path: 'd/file', bytes: text('content'), isExecutable: false },
    { is: 'link', path: 'd/link', to: 'file' },
  ])
  try {
    execFileSync('cpio', ['-i', '--quiet'], { cwd: folder, input: archive, stdio: 'pipe' })
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== 'ENOENT') throw error
    context.skip('cpio is not installed')
  }
  expect(readFileSync(join(folder, 'd/link'), 'utf8')).toBe('content')
})

test.each(['', '/absolute', 'with\0nul'])('%j is no path in an archive', (path) => {
  expect(() => cpioArchive([{ is: 'directory', path }])).toThrow(RangeError)
})

test('a mark that a shell would read is refused', () => {
  const options = { busybox: text(''), modules: [], shell: false }
  expect(() => initramfs({ ...options, mark: "'; reboot" })).toThrow(RangeError)
})

function module(file: string, depends: string): { file: string; bytes: Uint8Array } {
  return { file, bytes: text(`license=GPL\0depends=${depends}\0retpoline=Y\0`) }
}

test('modules come after what they need, once each', () => {
  const modules = new Map([
    ['a', module('a.ko', 'b,c-d')],
    ['b', module('b.ko', 'c_d')],
    ['c_d', module('c-d.ko', '')],
  ])
  const ordered = inLoadOrder(['b', 'a'], (name) => modules.get(name))
  expect(ordered.map(({ file }) => file)).toEqual(['c-d.ko', 'b.ko', 'a.ko'])
  expect(dependenciesOf(modules.get('a')!.bytes)).toEqual(['b', 'c_d'])
})

test('a module that is missing is named with who needs it; one that needs itself is', () => {
  expect(() =>
    inLoadOrder(['a'], (name) => (name === 'a' ? module('a.ko', 'b') : undefined)),
  ).toThrow('module b: the kernel has none such, and a needs it')
  expect(() => inLoadOrder(['a'], () => module('a.ko', 'a'))).toThrow('module a: needs itself')
})

function keepGuest(change: (manifest: Record<string, unknown>) => void = () => {}): void {
  const files: Record<string, string> = {}
  const modules = LINUX_MODULES.map((name) => `${name}.ko`)
  for (const name of ['vmlinuz', 'busybox', 'bios.bin', ...modules]) {
    writeFileSync(join(folder, name), name)
    files[name] = sha256(text(name))
  }
  const manifest = { release: '1.2', packages: ['p=1'], files, modules }
  change(manifest)
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest))
}

test('a guest that was fetched is read, its hashes checked', () => {
  expect(readManifest(folder)).toBeNull()
  expect(() => readLinuxGuest(folder)).toThrow('guestyard guest fetch linux')
  keepGuest()
  expect(readLinuxGuest(folder)).toMatchObject({ release: '1.2' })
  writeFileSync(join(folder, 'vmlinuz'), 'something else')
  expect(() => readLinuxGuest(folder)).toThrow('vmlinuz: is not what was fetched')
  rmSync(join(folder, 'vmlinuz'))
  expect(() => readLinuxGuest(folder)).toThrow('vmlinuz: is not there')
})

test('a guest that was fetched before a module was needed counts as none', () => {
  keepGuest(
    (manifest) => (manifest['modules'] = LINUX_MODULES.slice(1).map((name) => `${name}.ko`)),
  )
  expect(readManifest(folder)).toBeNull()
})

test.each([
  ['no JSON', (): void => writeFileSync(join(folder, 'manifest.json'), '{')],
  [
    'a module outside of the folder',
    (): void => keepGuest((manifest) => (manifest['modules'] = ['../a.ko'])),
  ],
  [
    'a module without a hash',
    (): void => keepGuest((manifest) => (manifest['modules'] = ['b.ko'])),
  ],
])('a manifest with %s is refused', (_name, keep) => {
  keep()
  expect(() => readManifest(folder)).toThrow(BootError)
})
