// A guest fetched from a mirror over HTTP: what is believed, what is resumed, what is refused, and what is said about it.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { readLinuxGuest, FetchError } from '@guestyard/x86-partition/node'
import type { FetchOptions, LinuxManifest } from '@guestyard/x86-partition/node'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { fetchLinuxFrom } from '../../src/node/fetch-linux.ts'
import { MirrorSource } from '../../src/node/fetch/mirror-source.ts'
import type { MirrorParts } from '../../src/node/fetch/mirror-source.ts'
import { elfFile, gzipBzImage } from '../packed-kernels.ts'
import { bzImage } from '../tiny-machine.ts'
import { MirrorServer } from './mirror-server.ts'
import { KERNEL_RELEASE, SUITE, sha, tinyArchive, tinyPackages } from './tiny-archive.ts'
import type { ArchiveOptions } from './tiny-archive.ts'

/** For hosts that are silent on purpose. */
const STALL_MS = 300

let folder = ''
let mirror: MirrorServer
let said: string[] = []
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'guestyard-fetch-'))
  mirror = await MirrorServer.start(await tinyArchive())
  said = []
})
afterEach(async () => {
  await mirror[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

async function serve(options: ArchiveOptions): Promise<void> {
  await mirror[Symbol.asyncDispose]()
  mirror = await MirrorServer.start(await tinyArchive(options))
}

/** As `fetchLinux`, with a Release that needs no signature. */
function fetchGuest(
  options: Partial<FetchOptions> = {},
  stall: MirrorParts = {},
): Promise<LinuxManifest> {
  const check: MirrorParts['check'] = async ({ files, url }) => ({
    text: Buffer.from(await files.read(new URL(`${url}/Release`), 1 << 20)).toString(),
    why: 'believed by this test',
  })
  const parts = { check, findGpgv: () => Promise.resolve(null), ...stall }
  const wanted = { folder, mirror: mirror.url, onProgress: (line: string) => void said.push(line) }
  return fetchLinuxFrom({ ...wanted, ...options }, (source) => new MirrorSource(source, parts))
}

const kernelDeb = (): string => mirror.archive.debs.get(`linux-image-${KERNEL_RELEASE}`)!
const bytesOf = (path: string): Uint8Array => mirror.archive.files.get(path)!
const partFiles = (): string[] =>
  readdirSync(join(folder, 'fetching')).filter((name) => name.endsWith('.part'))

test("today's kernel is fetched, with what goes with it, and kept where a guest is read from", async () => {
  const manifest = await fetchGuest()
  expect(manifest.packages).toEqual([
    `linux-image-${KERNEL_RELEASE}=6.1.9-1`,
    'busybox-static=1:1.35.0-4',
    'seabios=1.16.2-1',
  ])
  const guest = readLinuxGuest(folder)
  expect(Buffer.compare(guest.kernel, gzipBzImage())).toBe(0)
  expect(Buffer.compare(guest.unpackedKernel!, elfFile())).toBe(0)
  expect(Buffer.from(guest.busybox).toString()).toBe('a busybox')
  expect(Buffer.from(guest.firmware).toString()).toBe('a firmware')
  expect(said).toContain(`${SUITE}: believed by this test`)
  expect(readdirSync(folder)).not.toContain('fetching')
})

test('a guest that is there and of today is not downloaded again; one that is damaged is', async () => {
  await fetchGuest()
  mirror.asked.length = 0
  await fetchGuest()
  expect(mirror.asked).not.toContain(kernelDeb())
  writeFileSync(join(folder, 'vmlinuz'), 'something else')
  await fetchGuest()
  expect(mirror.asked).toContain(kernelDeb())
  expect(readLinuxGuest(folder).release).toBe(KERNEL_RELEASE)
})

test('a guest that was fetched before kernels were unpacked has its kernel unpacked, and nothing downloaded', async () => {
  const { files, ...manifest } = await fetchGuest()
  const { vmlinux, ...older } = files
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, files: older }))
  rmSync(join(folder, 'vmlinux'))
  expect(readLinuxGuest(folder).unpackedKernel).toBeNull()
  mirror.asked.length = 0
  expect((await fetchGuest()).files['vmlinux']).toBe(vmlinux)
  expect(mirror.asked).not.toContain(kernelDeb())
  expect(Buffer.compare(readLinuxGuest(folder).unpackedKernel!, elfFile())).toBe(0)
})

test('a kernel that is packed in a way that nobody here knows is kept as it is', async () => {
  await serve({ packages: await tinyPackages(bzImage()) })
  await fetchGuest()
  expect(said).toContain(
    'vmlinuz stays packed, and unpacks itself at every boot: it is neither xz nor gzip',
  )
  expect(readLinuxGuest(folder).unpackedKernel).toBeNull()
})

test('a guest that was fetched stays usable when the mirror is gone, and the host is named', async () => {
  await fetchGuest()
  const { origin } = mirror
  await mirror[Symbol.asyncDispose]()
  await expect(fetchGuest({ mirror: `${origin}/debian` })).rejects.toThrow(
    `${origin}/debian/dists/${SUITE}/Release: connect ECONNREFUSED`,
  )
  expect(readLinuxGuest(folder).release).toBe(KERNEL_RELEASE)
})

test('index files are asked for by their hashes where the archive has them so', async () => {
  await serve({ release: 'Acquire-By-Hash: yes\n' })
  const place = `/debian/dists/${SUITE}/main/binary-i386`
  const index = bytesOf(`${place}/Packages.gz`)
  mirror.archive.files.delete(`${place}/Packages.gz`)
  mirror.archive.files.set(`${place}/by-hash/SHA256/${sha(index)}`, index)
  expect((await fetchGuest()).release).toBe(KERNEL_RELEASE)
})

test('a file that is not what the index promises is refused, named, and not kept', async () => {
  const wrong = Uint8Array.from(bytesOf(kernelDeb()))
  wrong[wrong.length - 1]! ^= 1
  mirror.archive.files.set(kernelDeb(), wrong)
  await expect(fetchGuest()).rejects.toThrow(
    `${mirror.origin}${kernelDeb()}: is not what the archive promises (SHA-256 ${sha(wrong)})`,
  )
  expect(partFiles()).toEqual([])
  expect(existsSync(join(folder, 'manifest.json'))).toBe(false)
})

test('a file that is longer than promised is left as soon as that is seen', async () => {
  mirror.archive.files.set(kernelDeb(), Buffer.concat([bytesOf(kernelDeb()), Buffer.alloc(9)]))
  await expect(fetchGuest()).rejects.toThrow(
    `${kernelDeb()}: is longer than its ${bytesOf(kernelDeb()).length - 9} bytes`,
  )
})

/** The first times a path is asked for, some bytes come and the connection breaks. */
function breakOff(path: string, afterBytes: readonly number[]): void {
  const cuts = [...afterBytes]
  mirror.instead.set(path, (request, response) => {
    const after = cuts.shift()
    if (after === undefined) return false
    const file = bytesOf(path)
    const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
    response.writeHead(from === 0 ? 200 : 206, {
      ETag: '"today"',
      'Content-Length': file.length - from,
      'Content-Range': `bytes ${from}-${file.length - 1}/${file.length}`,
    })
    response.write(file.subarray(from, from + after), () => response.destroy())
    return true
  })
}

test('a transfer that breaks off goes on where it was, if the file is still the same', async () => {
  breakOff(kernelDeb(), [100, 50])
  await fetchGuest()
  expect(mirror.asked.filter((line) => line.startsWith(kernelDeb()))).toEqual([
    kernelDeb(),
    `${kernelDeb()} bytes=100- "today"`,
    `${kernelDeb()} bytes=150- "today"`,
  ])
})

test('a transfer that brings nothing more ends the fetch; the next one goes on from it', async () => {
  breakOff(kernelDeb(), [100, 0])
  await expect(fetchGuest()).rejects.toThrow(FetchError)
  expect(partFiles()).toHaveLength(1)
  await fetchGuest()
  expect(mirror.asked).toContain(`${kernelDeb()} bytes=100-`)
  expect(readLinuxGuest(folder).release).toBe(KERNEL_RELEASE)
})

test('what an earlier fetch left is thrown away when it turns out to be wrong', async () => {
  const work = join(folder, 'fetching')
  mkdirSync(work, { recursive: true })
  const name = kernelDeb().split('/').at(-1)!
  const hash = sha(bytesOf(kernelDeb())).slice(0, 16)
  writeFileSync(join(work, `${name}.${hash}.part`), 'other bytes')
  await fetchGuest()
  expect(mirror.asked.filter((line) => line.startsWith(kernelDeb()))).toEqual([
    `${kernelDeb()} bytes=11-`,
    kernelDeb(),
  ])
})

test.each([
  ['gives the whole file', 200],
  ['says that the range is none', 416],
])('a server that, asked for a range, %s is taken at its word', async (_what, status) => {
  breakOff(kernelDeb(), [100])
  const cut = mirror.instead.get(kernelDeb())!
  mirror.instead.set(kernelDeb(), (request, response) => {
    if (cut(request, response)) return true
    if (request.headers.range === undefined) return false
    response.writeHead(status).end(status === 200 ? bytesOf(kernelDeb()) : '')
    return true
  })
  expect((await fetchGuest()).release).toBe(KERNEL_RELEASE)
})

test('a host that goes silent is left after a time, and the transfer goes on', async () => {
  let times = 0
  mirror.instead.set(kernelDeb(), (_request, response) => {
    if (++times > 1) return false
    response.writeHead(200, { 'Content-Length': bytesOf(kernelDeb()).length })
    response.write(bytesOf(kernelDeb()).subarray(0, 64))
    return true
  })
  await fetchGuest({}, { stallMs: STALL_MS })
  expect(mirror.asked).toContain(`${kernelDeb()} bytes=64-`)
})

test('a host that never says a word is named', async () => {
  mirror.instead.set(`/debian/dists/${SUITE}/Release`, () => true)
  const fetched = fetchGuest({}, { stallMs: STALL_MS })
  await expect(fetched).rejects.toThrow(`Release: nothing came for ${STALL_MS} ms`)
})

test('redirects are followed, to other hosts too; a ring of them is left', async () => {
  await using other = await MirrorServer.start(mirror.archive)
  mirror.instead.set(kernelDeb(), (_request, response) => {
    response.writeHead(302, { Location: `${other.origin}${kernelDeb()}` }).end()
    return true
  })
  await fetchGuest()
  expect(other.asked).toEqual([kernelDeb()])
  const release = `/debian/dists/${SUITE}/Release`
  mirror.instead.set(release, (_request, response) => {
    response.writeHead(301, { Location: release }).end()
    return true
  })
  await expect(fetchGuest()).rejects.toThrow(`${release}: is redirected more than 5 times`)
})

test('a redirect to what is no HTTP is refused', async () => {
  mirror.instead.set(`/debian/dists/${SUITE}/Release`, (_request, response) => {
    response.writeHead(302, { Location: 'file:///etc/hostname' }).end()
    return true
  })
  await expect(fetchGuest()).rejects.toThrow('file:///etc/hostname: is no HTTP')
})

test('a file that the mirror does not have is named with the status', async () => {
  mirror.archive.files.delete(kernelDeb())
  await expect(fetchGuest()).rejects.toThrow(`${mirror.origin}${kernelDeb()}: 404 Not Found`)
  await expect(fetchGuest({ suite: 'hamm' })).rejects.toThrow('/dists/hamm/Release: 404 Not Found')
})

test.each<[string, ArchiveOptions, string]>([
  ['of another suite', { codename: 'sid' }, 'Release: is of sid, not of bookworm'],
  [
    'of the past',
    { release: 'Valid-Until: Mon, 01 Jan 2024 00:00:00 UTC\n' },
    'Release: was valid until',
  ],
  ['with a date that is none', { release: 'Valid-Until: soon\n' }, 'Release: was valid until'],
  ['without the kernel', { packages: [] }, 'has no package linux-image-686 for i386'],
])('an archive %s is refused', async (_what, options, problem) => {
  await serve(options)
  await expect(fetchGuest()).rejects.toThrow(problem)
})

test('a Release without hashes, and one without packages for i386, are refused', async () => {
  const release = `/debian/dists/${SUITE}/Release`
  mirror.archive.files.set(release, Buffer.from('<html>Welcome to our hotel</html>'))
  await expect(fetchGuest()).rejects.toThrow('Release: names no files with their SHA-256')
  const none = `Codename: ${SUITE}\nSHA256:\n ${'0'.repeat(64)} 1 main/binary-hppa/Packages\n`
  mirror.archive.files.set(release, Buffer.from(none))
  await expect(fetchGuest()).rejects.toThrow('has no main/binary-i386/Packages')
})

test('a path that leads out of the archive makes a package none', async () => {
  const packages = await tinyPackages()
  const busybox = packages.find(({ name }) => name === 'busybox-static')!
  await serve({
    packages: [...packages, { ...busybox, version: '9:9', filename: '../up' }],
  })
  expect((await fetchGuest()).packages[1]).toBe('busybox-static=1:1.35.0-4')
})

test('a package without what a guest needs says so, and leaves the guest that is there', async () => {
  await fetchGuest()
  const packages = await tinyPackages()
  const kernel = packages.findIndex(({ name }) => name === `linux-image-${KERNEL_RELEASE}`)
  packages[kernel] = { ...packages[kernel]!, version: '6.1.9-2', deb: packages[0]!.deb }
  await serve({ packages })
  await expect(fetchGuest()).rejects.toThrow('vmlinuz: is in none of the packages')
  expect(readLinuxGuest(folder).release).toBe(KERNEL_RELEASE)
})

test('a fetch that is given up rejects with why, and what it brought is there for the next', async () => {
  const abort = new AbortController()
  const why = new Error('that will do')
  mirror.instead.set(kernelDeb(), (_request, response) => {
    response.writeHead(200, { 'Content-Length': bytesOf(kernelDeb()).length })
    response.write(bytesOf(kernelDeb()).subarray(0, 64))
    return true
  })
  const onBytes: FetchOptions['onBytes'] = ({ done }) => void (done === 64 && abort.abort(why))
  await expect(fetchGuest({ signal: abort.signal, onBytes })).rejects.toBe(why)
  mirror.instead.clear()
  await fetchGuest()
  expect(mirror.asked).toContain(`${kernelDeb()} bytes=64-`)
})

test('progress counts the bytes of each file up to its size', async () => {
  const seen = new Map<string, number>()
  await fetchGuest({
    onBytes: ({ file, done, total }) => {
      expect(done).toBeLessThanOrEqual(total)
      expect(done).toBeGreaterThanOrEqual(seen.get(file) ?? 0)
      seen.set(file, done)
    },
  })
  expect(seen.get(kernelDeb().split('/').at(-1)!)).toBe(bytesOf(kernelDeb()).length)
})

test.each(['ftp://host/debian', 'host/debian', 'http://me:secret@host/debian', 'http://host/ x'])(
  '%j is no mirror',
  async (mirror) => {
    await expect(fetchGuest({ mirror })).rejects.toThrow('mirror: ')
  },
)

test.each(['', '../../etc', 'a b', '[x]'])('%j is no suite', async (suite) => {
  await expect(fetchGuest({ suite })).rejects.toThrow('suite: ')
})

test('nothing that was fetched is left beside the guest', async () => {
  await fetchGuest()
  const kept = readFileSync(join(folder, 'manifest.json'), 'utf8')
  const { files } = JSON.parse(kept) as LinuxManifest
  expect(readdirSync(folder).toSorted()).toEqual(
    ['manifest.json', ...Object.keys(files)].toSorted(),
  )
})
