// An archive of Debian's kind, made here: packages of a few bytes, their index, its Release.

import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'

import { packTar } from 'modern-tar'

import { LINUX_MODULES } from '../../src/guest/linux-modules.ts'
import { gzipBzImage } from '../packed-kernels.ts'

export const SUITE = 'bookworm'
export const KERNEL_RELEASE = '6.1.0-9-686'
const KERNEL = `linux-image-${KERNEL_RELEASE}`

export interface TinyPackage {
  readonly name: string
  readonly version: string
  readonly depends?: string
  /** In place of the path that it has. */
  readonly filename?: string
  readonly deb: Uint8Array
}

/** `data.tar` and its packing; anything may be put in its place. */
export async function tar(
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<Uint8Array> {
  const entries = Object.entries(files).map(([name, body]) => ({
    header: { name, size: Buffer.byteLength(body), mtime: new Date(0) },
    body,
  }))
  return packTar(entries)
}

/** deb(5): members of an ar archive. */
export function deb(member: string, data: Uint8Array): Uint8Array {
  return ar([
    ['debian-binary', Buffer.from('2.0\n')],
    ['control.tar', Buffer.alloc(1024)],
    [member, data],
  ])
}

export function ar(members: readonly (readonly [name: string, data: Uint8Array])[]): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from('!<arch>\n')]
  for (const [name, data] of members) {
    const owner = `${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}`
    parts.push(Buffer.from(`${name.padEnd(16)}${owner}${String(data.length).padEnd(10)}\`\n`))
    parts.push(data, Buffer.alloc(data.length % 2, '\n'))
  }
  return Buffer.concat(parts)
}

/** What a guest is made of: the kernel that the meta package names today, one of yesterday, and the rest. */
export async function tinyPackages(kernelFile = gzipBzImage()): Promise<TinyPackage[]> {
  const modules = Object.fromEntries(
    LINUX_MODULES.map((name) => [
      `./lib/modules/${KERNEL_RELEASE}/kernel/${name}.ko`,
      `${name}\0depends=\0`,
    ]),
  )
  const vmlinuz = `./boot/vmlinuz-${KERNEL_RELEASE}`
  const kernel = await tar({ [vmlinuz]: kernelFile, ...modules })
  const busybox = await tar({ './bin/busybox': 'a busybox', './usr/share/doc/x': 'a document' })
  const firmware = await tar({ './usr/share/seabios/bios.bin': 'a firmware' })
  const none = deb('data.tar', await tar({ './usr/share/doc/y': '' }))
  return [
    { name: 'linux-image-6.1.0-8-686', version: '6.1.8-1', deb: none },
    { name: KERNEL, version: '6.1.9-1', deb: deb('data.tar.gz', gzipSync(kernel)) },
    ...[
      { version: '6.1.8-1', depends: 'linux-image-6.1.0-8-686 (= 6.1.8-1)' },
      { version: '6.1.9-1', depends: `${KERNEL} (= 6.1.9-1)` },
    ].map((meta) => ({ name: 'linux-image-686', deb: none, ...meta })),
    { name: 'busybox-static', version: '1:1.35.0-4', deb: deb('data.tar', busybox) },
    { name: 'seabios', version: '1.16.2-1', deb: deb('data.tar', firmware) },
  ]
}

/** What is at which path of a mirror. */
export interface TinyArchive {
  readonly files: Map<string, Uint8Array>
  readonly debs: ReadonlyMap<string, string>
}

export interface ArchiveOptions {
  readonly packages?: readonly TinyPackage[]
  readonly codename?: string
  /** More lines of its Release. */
  readonly release?: string
}

export async function tinyArchive(options: ArchiveOptions = {}): Promise<TinyArchive> {
  const { packages = await tinyPackages(), codename = SUITE, release = '' } = options
  const files = new Map<string, Uint8Array>()
  const debs = new Map<string, string>()
  const paragraphs = packages.map(({ name, version, depends, filename, deb }) => {
    const path = `pool/${name}_${version.replace(/^\d+:/, '')}_i386.deb`
    files.set(`/debian/${path}`, deb)
    debs.set(name, `/debian/${path}`)
    const needs = depends === undefined ? '' : `Depends: ${depends}\n`
    const head = `Package: ${name}\nVersion: ${version}\n${needs}Description: a package`
    return `${head}\n of a few bytes\nFilename: ${filename ?? path}\nSize: ${deb.length}\nSHA256: ${sha(deb)}\n`
  })
  const index = gzipSync(paragraphs.join('\n'))
  const place = 'main/binary-i386/Packages.gz'
  const text =
    `Origin: Debian\nSuite: stable\nCodename: ${codename}\n${release}` +
    `SHA256:\n ${sha(index)} ${index.length} ${place}\n`
  files.set(`/debian/dists/${SUITE}/Release`, Buffer.from(text))
  files.set(`/debian/dists/${SUITE}/${place}`, index)
  return { files, debs }
}

export function sha(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
