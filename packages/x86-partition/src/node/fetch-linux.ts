// Fetches the Linux guest: today's kernel of Debian, the modules that a guest needs and busybox, from apt or from a mirror, into a folder with a
// manifest. What a fetch that was interrupted has brought is there for the next one; a guest that is in the folder stays until its successor is whole.

import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

import { BootError } from '../boot/boot-error.ts'
import type { KernelModule } from '../guest/initramfs.ts'
import { LINUX_MODULES } from '../guest/linux-modules.ts'
import { inLoadOrder, moduleName } from '../guest/module-order.ts'
import type {
  FetchedBytes,
  DebianPackage,
  PackageSource,
  SourceOptions,
} from './fetch/package-source.ts'
import {
  BUSYBOX_FILE,
  FIRMWARE_FILE,
  KERNEL_FILE,
  MANIFEST_FILE,
  UNPACKED_KERNEL_FILE,
  readLinuxGuest,
  readManifest,
  sha256,
} from './linux-cache.ts'
import type { LinuxManifest } from './linux-cache.ts'

export interface FetchOptions {
  /** Where the guest is kept. */
  readonly folder: string
  /** A Debian mirror; default: deb.debian.org, over HTTPS where apt does not check signatures. */
  readonly mirror?: string
  /** Release of Debian; default `bookworm`. */
  readonly suite?: string
  /** A file of OpenPGP keys that sign the archive, in place of Debian's own. */
  readonly keyring?: string
  /** Whether apt is used where there is one; default true. */
  readonly apt?: boolean
  /** Ends the fetch: it rejects with the signal's reason. */
  readonly signal?: AbortSignal
  /** One line for each step. */
  readonly onProgress: (line: string) => void
  /** Bytes of the file that is under way; not from apt. */
  readonly onBytes?: (bytes: FetchedBytes) => void
}

const SUITE_DEFAULT = 'bookworm'
/** Files of packages and what they are called here; modules are called as they are. A release of Debian may have them in `usr`. */
const FILES: Readonly<Record<string, string>> = {
  'boot/vmlinuz': KERNEL_FILE,
  'bin/busybox': BUSYBOX_FILE,
  'share/seabios/bios.bin': FIRMWARE_FILE,
}
/** Of its files, beside the fetched ones. */
const WORK_FOLDER = 'fetching'

/** Rejects with a FetchError where the world is at fault, with a BootError where an option is, or the kernel is not one that can be a guest. */
export async function fetchLinux(options: FetchOptions): Promise<LinuxManifest> {
  const { apt = true } = options
  const [{ AptSource, hasApt }, { MirrorSource }] = await Promise.all([
    import('./fetch/apt-source.ts'),
    import('./fetch/mirror-source.ts'),
  ])
  const isApt = apt && (await hasApt())
  return fetchLinuxFrom(options, (source) =>
    isApt ? new AptSource(source) : new MirrorSource(source),
  )
}

/** The same from a source that the caller makes. */
export async function fetchLinuxFrom(
  options: FetchOptions,
  createSource: (options: SourceOptions) => PackageSource,
): Promise<LinuxManifest> {
  const { folder, onProgress } = options
  const work = join(folder, WORK_FOLDER)
  const signal = options.signal ?? new AbortController().signal
  const source = createSource(checkedOptions(options, work, signal))
  const packages = await source.resolve()
  const current = currentManifest(folder, packages)
  if (current !== null) {
    rmSync(work, { recursive: true, force: true })
    onProgress(`Linux ${current.release} is in ${folder} already`)
    return withUnpackedKernel(folder, current, onProgress)
  }
  onProgress(`downloading ${packages.map(({ name }) => name).join(', ')}`)
  const archives = await source.download()
  const tree = join(work, 'tree')
  rmSync(tree, { recursive: true, force: true })
  mkdirSync(tree, { recursive: true })
  const release = packages[0]!.name.replace(/^linux-image-/, '')
  for (const archive of archives) {
    onProgress(`unpacking ${basename(archive)}`)
    await unpack(archive, tree, release, signal)
  }
  const kept = keep(folder, tree, release, packages)
  const manifest = await withUnpackedKernel(folder, kept, onProgress)
  rmSync(work, { recursive: true, force: true })
  onProgress(`Linux ${manifest.release} is in ${folder}`)
  return manifest
}

function checkedOptions(options: FetchOptions, work: string, signal: AbortSignal): SourceOptions {
  const { mirror = null, suite = SUITE_DEFAULT, keyring = null, onProgress, onBytes } = options
  if (mirror !== null && !/^https?:\/\/[\w.:[\]-]+(\/[\w.:/~+-]*)?$/.test(mirror)) {
    throw new BootError(`mirror: ${JSON.stringify(mirror)} is none (a URL: http://HOST/debian)`)
  }
  if (!/^[\w.+-]+(\/[\w.+-]+)*$/.test(suite) || suite.split('/').includes('..')) {
    throw new BootError(`suite: ${JSON.stringify(suite)} is none`)
  }
  return { work, mirror, suite, keyring, signal, onProgress, onBytes: onBytes ?? (() => {}) }
}

/** What is in the folder, if it is whole and of these very packages. */
function currentManifest(folder: string, packages: readonly DebianPackage[]): LinuxManifest | null {
  try {
    const manifest = readManifest(folder)
    if (manifest?.packages.join() !== packages.map(nameOf).join()) return null
    readLinuxGuest(folder)
    return manifest
  } catch (error) {
    if (error instanceof BootError) return null
    throw error
  }
}

function nameOf({ name, version }: DebianPackage): string {
  return `${name}=${version}`
}

/** Writes what a guest may need of a package into `tree`. */
async function unpack(
  archive: string,
  tree: string,
  release: string,
  signal: AbortSignal,
): Promise<void> {
  const { debFiles } = await import('./fetch/deb-archive.ts')
  const targetOf = (path: string): string | null => {
    const place = path.replace(/^usr\//, '')
    const isModule = place.startsWith(`lib/modules/${release}/`) && place.endsWith('.ko')
    return isModule ? basename(place) : (FILES[place.replace(`-${release}`, '')] ?? null)
  }
  for await (const { path, bytes } of debFiles(archive, (path) => targetOf(path) !== null)) {
    signal.throwIfAborted()
    writeFileSync(join(tree, targetOf(path)!), bytes)
  }
}

/** Copies what is used, and says so in the manifest, which comes last: a folder without one holds no guest. */
function keep(
  folder: string,
  tree: string,
  release: string,
  packages: readonly DebianPackage[],
): LinuxManifest {
  const kept = Object.values(FILES).map((file) => ({ file, bytes: readUnpacked(tree, file) }))
  const modules = inLoadOrder(LINUX_MODULES, finderOf(tree))
  const files: Record<string, string> = {}
  const put = (name: string, bytes: Uint8Array): void => {
    putFile(folder, name, bytes)
    files[name] = sha256(bytes)
  }
  rmSync(join(folder, MANIFEST_FILE), { force: true })
  for (const { file, bytes } of [...kept, ...modules]) put(file, bytes)
  return putManifest(folder, {
    release,
    packages: packages.map(nameOf),
    files,
    modules: modules.map(({ file }) => file),
  })
}

/** A boot is shorter by what the guest's processor need not unpack. A folder that was filled before there was this file gets it too. */
async function withUnpackedKernel(
  folder: string,
  manifest: LinuxManifest,
  onProgress: (line: string) => void,
): Promise<LinuxManifest> {
  if (UNPACKED_KERNEL_FILE in manifest.files) return manifest
  onProgress(`unpacking ${KERNEL_FILE}`)
  const { unpackedKernel } = await import('./fetch/unpacked-kernel.ts')
  const { file, problem } = await unpackedKernel(readFileSync(join(folder, KERNEL_FILE)))
  if (file === null) {
    onProgress(`${KERNEL_FILE} stays packed, and unpacks itself at every boot: ${problem}`)
    return manifest
  }
  putFile(folder, UNPACKED_KERNEL_FILE, file)
  const files = { ...manifest.files, [UNPACKED_KERNEL_FILE]: sha256(file) }
  return putManifest(folder, { ...manifest, files })
}

/** Whole or not at all. */
function putFile(folder: string, name: string, bytes: Uint8Array | string): void {
  const path = join(folder, name)
  writeFileSync(`${path}.new`, bytes)
  renameSync(`${path}.new`, path)
}

function putManifest(folder: string, manifest: LinuxManifest): LinuxManifest {
  putFile(folder, MANIFEST_FILE, `${JSON.stringify(manifest, null, 2)}\n`)
  return manifest
}

function readUnpacked(tree: string, file: string): Uint8Array {
  try {
    return readFileSync(join(tree, file))
  } catch {
    throw new BootError(`${file}: is in none of the packages`)
  }
}

function finderOf(tree: string): (name: string) => KernelModule | undefined {
  const files = new Map(
    readdirSync(tree)
      .filter((file) => file.endsWith('.ko'))
      .map((file) => [moduleName(file), file]),
  )
  return (name) => {
    const file = files.get(name)
    return file === undefined ? undefined : { file, bytes: readFileSync(join(tree, file)) }
  }
}
