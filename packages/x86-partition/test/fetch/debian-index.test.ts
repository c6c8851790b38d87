// What an archive says of itself, and which of two versions is the newer one.

import { execFileSync } from 'node:child_process'

import { FetchError } from '@guestyard/x86-partition/node'
import fc from 'fast-check'
import { expect, test } from 'vitest'

import { paragraphs, parsePackage, parseRelease } from '../../src/node/fetch/debian-index.ts'
import { compareVersions } from '../../src/node/fetch/debian-version.ts'

const HASH = 'a'.repeat(64)

test.each([
  ['1.0', '1.0', 0],
  ['6.1.9-1', '6.1.10-1', -1],
  ['1:1.0', '2.0', 1],
  ['1.0~rc1', '1.0', -1],
  ['1.0~~', '1.0~', -1],
  ['1.0-1', '1.0-1+b1', -1],
  ['1.0a', '1.0+', -1],
  ['1.35.0-4+deb12u1', '1.35.0-4', 1],
  ['0:1.0', '1.0', 0],
  ['1.0-0', '1.0', 0],
])('%s against %s: %i', (a, b, order) => {
  expect(Math.sign(compareVersions(a, b))).toBe(order)
  expect(Math.sign(compareVersions(b, a))).toBe(order === 0 ? 0 : -order)
})

test('versions are ordered as dpkg orders them', (context) => {
  const dpkg = (a: string, b: string): number => {
    for (const [word, order] of [
      ['lt', -1],
      ['eq', 0],
    ] as const) {
      try {
        execFileSync('dpkg', ['--compare-versions', a, word, b], { stdio: 'ignore' })
        return order
      } catch (error) {
        const { code } = error as { readonly code?: unknown }
        if (code === 'ENOENT') context.skip('there is no dpkg')
      }
    }
    return 1
  }
  const upstream = fc.stringMatching(/^\d[\da-z.+~]{0,6}$/)
  const revision = fc.option(fc.stringMatching(/^[\da-z.+~]{1,4}$/), { nil: null })
  const version = fc
    .tuple(fc.constantFrom('', '1:'), upstream, revision)
    .map(([epoch, up, rev]) => `${epoch}${up}${rev === null ? '' : `-${rev}`}`)
  fc.assert(
    fc.property(version, version, (a, b) => {
      expect(Math.sign(compareVersions(a, b))).toBe(dpkg(a, b))
    }),
    { numRuns: 60 },
  )
})

test('fields go on in lines that begin with a blank', () => {
  const release = parseRelease(
    `Suite: stable\nCodename: bookworm\nMD5Sum:\n ${'b'.repeat(32)} 1 a\nSHA256:\n ${HASH} 12 main/x\n ${HASH}  7 main/y\n`,
    'Release',
  )
  expect([...release.files.values()]).toEqual([
    { path: 'main/x', sizeBytes: 12, sha256: HASH },
    { path: 'main/y', sizeBytes: 7, sha256: HASH },
  ])
  expect(release).toMatchObject({ suite: 'stable', isByHash: false, validUntil: null })
})

test.each([
  ['leads up', '../x'],
  ['is absolute', '/etc/x'],
  ['leads up on the way', 'a/../x'],
  ['is a URL', 'http://host/x'],
  ['has a query', 'a?b'],
  ['is none', ''],
])('a file whose path %s is none', (_what, path) => {
  const paragraph = `Package: a\nVersion: 1\nFilename: ${path}\nSize: 1\nSHA256: ${HASH}`
  expect(parsePackage(paragraph)).toBeNull()
  expect(parsePackage(paragraph.replace(/Filename: .*/, 'Filename: a/x'))).not.toBeNull()
})

async function* piecesOf(text: string, length: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += length) {
    yield await Promise.resolve(bytes.subarray(at, at + length))
  }
}

test('paragraphs are the same however the text comes in pieces', async () => {
  const text = 'Package: ä\nVersion: 1\n\nPackage: b\n\nPackage: c\n of two lines\n'
  for (let length = 1; length <= Buffer.byteLength(text); length++) {
    const found: string[] = []
    for await (const paragraph of paragraphs(piecesOf(text, length), 'x')) found.push(paragraph)
    expect(found).toEqual(['Package: ä\nVersion: 1', 'Package: b', 'Package: c\n of two lines\n'])
  }
})

test('a paragraph without end is refused', async () => {
  const endless = async (): Promise<void> => {
    for await (const _ of paragraphs(piecesOf('x'.repeat(3 << 20), 1 << 16), 'Packages')) {
      expect.unreachable()
    }
  }
  await expect(endless()).rejects.toThrow('Packages: is no index of packages')
})

test('text of any kind is a Release or a FetchError', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseRelease(`SHA256:${text}`, 'Release')
      } catch (error) {
        expect(error).toBeInstanceOf(FetchError)
      }
      expect(parsePackage(text)?.file.path ?? 'a').toMatch(/^[^/]/)
    }),
  )
})
