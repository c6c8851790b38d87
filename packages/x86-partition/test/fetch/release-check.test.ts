// Why a Release is believed: a signature by a key that is known, or a host that proved its name. `signed/` is an archive's, signed by a key made for
// this test.

import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { DEBIAN_STABLE_KEY } from '../../src/node/fetch/debian-key.ts'
import { MirrorSource } from '../../src/node/fetch/mirror-source.ts'
import { findGpgv } from '../../src/node/fetch/release-check.ts'
import { MirrorServer } from './mirror-server.ts'

const gpgv = await findGpgv()
const signed = (file: string): Buffer => readFileSync(new URL(`signed/${file}`, import.meta.url))
/** Whose secret part was never kept. */
const TEST_KEY = Buffer.from(
  'mDMEY7DNABYJKwYBBAHaRw8BAQdATv5JQpu3q21hN01pabXSZbfx9emuiDpP4dGBllKg+Tu0Fkd1ZXN0eWFyZCB0ZX' +
    'N0IGFyY2hpdmWIkAQTFggAOBYhBJk07SnMH7K0fanwy1MO/TUukTxkBQJjsM0AAhsDBQsJCAcCBhUKCQgLAgQWAgMB' +
    'Ah4BAheAAAoJEFMO/TUukTxkZW0A/jFm5BoHtQlqFFW1kXkIUtbfQgpynu2hsi7dsdcYzVloAP9wNs3kJqSYHTGge1' +
    '8myN3B3pn923pumjAq66bIv1fXCA==',
  'base64',
)
const WANTED = ['linux-image-6.1.0-9-686', 'busybox-static', 'seabios']
const IN_RELEASE = '/debian/dists/bookworm/InRelease'

let folder = ''
let mirror: MirrorServer
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'guestyard-release-'))
  writeFileSync(join(folder, 'test.gpg'), TEST_KEY)
  writeFileSync(join(folder, 'debian.gpg'), DEBIAN_STABLE_KEY)
  const files = new Map([
    [IN_RELEASE, signed('InRelease')],
    ['/debian/dists/bookworm/main/binary-i386/Packages', signed('Packages')],
  ])
  mirror = await MirrorServer.start({ files, debs: new Map() })
})
afterEach(async () => {
  await mirror[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

interface Resolved {
  readonly names: readonly string[]
  readonly said: readonly string[]
}

async function resolve(keyring: string | null, find?: () => Promise<null>): Promise<Resolved> {
  const said: string[] = []
  const source = new MirrorSource(
    {
      work: join(folder, 'work'),
      mirror: mirror.url,
      suite: 'bookworm',
      keyring: keyring === null ? null : join(folder, keyring),
      signal: new AbortController().signal,
      onProgress: (line) => void said.push(line),
      onBytes: () => {},
    },
    find === undefined ? {} : { findGpgv: find },
  )
  const packages = await source.resolve()
  return { names: packages.map(({ name }) => name), said }
}

test.skipIf(gpgv === null)(
  'a release that a known key signed is believed, and who it was is said',
  async () => {
    const { names, said } = await resolve('test.gpg')
    expect(names).toEqual(WANTED)
    expect(said.at(-1)).toBe('bookworm: signed by Guestyard test archive')
  },
)

test.skipIf(gpgv === null)(
  'a release that is signed by none of the known keys is refused',
  async () => {
    const problem = `${mirror.origin}${IN_RELEASE}: has no good signature by a known key`
    await expect(resolve('debian.gpg')).rejects.toThrow(problem)
    await expect(resolve(null)).rejects.toThrow(problem)
    await expect(resolve('not-there.gpg')).rejects.toThrow(problem)
  },
)

test.skipIf(gpgv === null).each<[string, (text: string) => string]>([
  ['that was changed', (text) => text.replace('Suite: stable', 'Suite: rusty')],
  ['without its signature', (text) => text.replace(/-----BEGIN PGP SIGNATURE[^]*/, '')],
  ['that is not signed', () => 'Codename: bookworm\n'],
  ['of no bytes', () => ''],
])('a release %s is refused', async (_what, change) => {
  mirror.archive.files.set(IN_RELEASE, Buffer.from(change(signed('InRelease').toString())))
  await expect(resolve('test.gpg')).rejects.toThrow('has no good signature by a known key')
})

test.skipIf(gpgv === null)(
  'what stands before and behind what was signed is not read',
  async () => {
    const lie = `Codename: bookworm\nSHA256:\n ${'0'.repeat(64)} 1 main/binary-i386/Packages\n\n`
    const text = `${lie}${signed('InRelease').toString()}${lie}`
    mirror.archive.files.set(IN_RELEASE, Buffer.from(text))
    const names = await resolve('test.gpg').then(
      (resolved) => resolved.names,
      () => null,
    )
    expect(names ?? WANTED).toEqual(WANTED)
  },
)

const noGpgv = (): Promise<null> => Promise.resolve(null)

test('without gpgv a mirror over plain HTTP is refused before it is asked', async () => {
  await expect(resolve(null, noGpgv)).rejects.toThrow(
    'without gpgv only a mirror over https:// can be believed',
  )
  expect(mirror.asked).toEqual([])
})

test('keys of the caller without gpgv are not passed over', async () => {
  await expect(resolve('test.gpg', noGpgv)).rejects.toThrow(
    "test.gpg: can't be used, gpgv is not there",
  )
})

test("the key that comes along is Debian 12's: its fingerprint", () => {
  // RFC 9580, 5.5.4.2: SHA-1 over 0x99, the length in two bytes, and the key packet's body, which follows a header of two bytes here.
  const length = DEBIAN_STABLE_KEY[1]!
  const body = DEBIAN_STABLE_KEY.subarray(2, 2 + length)
  const print = createHash('sha1')
    .update(Uint8Array.of(0x99, 0, length))
    .update(body)
    .digest('hex')
  expect(print.toUpperCase()).toBe('4D64FEC119C2029067D6E791F8D2585B8783D481')
})
