// The Linux guest on this host: kernel, busybox and modules, outside of any repository, with a manifest that says what each file's hash is. They
// are other people's work under their own licence (GPL): fetched by whoever wants them, never shipped.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

import { BootError } from '../boot/boot-error.ts'
import type { KernelModule } from '../guest/initramfs.ts'
import { LINUX_MODULES } from '../guest/linux-modules.ts'
import { moduleName } from '../guest/module-order.ts'

/** `manifest.json` of a cache folder. */
export interface LinuxManifest {
  /** `6.1.0-50-686`. */
  readonly release: string
  /** Where it came from, by package: `name=version`. */
  readonly packages: readonly string[]
  /** SHA-256 of each file, in hex, by its name in the folder. */
  readonly files: Readonly<Record<string, string>>
  /** Names of modules, in an order in which they can be loaded. */
  readonly modules: readonly string[]
}

export interface LinuxGuestFiles {
  readonly release: string
  readonly kernel: Uint8Array
  /** What `kernel` unpacks itself to; null where the fetch could not. */
  readonly unpackedKernel: Uint8Array | null
  readonly busybox: Uint8Array
  /** A PC's firmware, for machines of generation 1. */
  readonly firmware: Uint8Array<ArrayBuffer>
  readonly modules: readonly KernelModule[]
}

export const KERNEL_FILE = 'vmlinuz'
export const UNPACKED_KERNEL_FILE = 'vmlinux'
export const BUSYBOX_FILE = 'busybox'
export const FIRMWARE_FILE = 'bios.bin'
export const MANIFEST_FILE = 'manifest.json'

/** `GUESTYARD_CACHE`, else the user's cache folder (XDG Base Directory Specification). */
export function linuxCacheFolder(): string {
  const { GUESTYARD_CACHE: own = '', XDG_CACHE_HOME: shared = '' } = process.env
  if (own !== '') return join(own, 'linux')
  return join(shared === '' ? join(homedir(), '.cache') : shared, 'guestyard', 'linux')
}

/** Null where no guest was fetched, or one that lacks the firmware or a module of LINUX_MODULES. Throws a BootError where the folder holds something else. */
export function readManifest(folder: string): LinuxManifest | null {
  let text: string
  try {
    text = readFileSync(join(folder, MANIFEST_FILE), 'utf8')
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
  const manifest = parse(text)
  if (!isManifest(manifest)) {
    throw new BootError(`${join(folder, MANIFEST_FILE)}: not the manifest of a Linux guest`)
  }
  const has = new Set(manifest.modules.map(moduleName))
  const isWhole = FIRMWARE_FILE in manifest.files && LINUX_MODULES.every((name) => has.has(name))
  return isWhole ? manifest : null
}

/** All files, their hashes checked. Throws a BootError that names the file, or says how to fetch the guest. */
export function readLinuxGuest(folder: string): LinuxGuestFiles {
  const manifest = readManifest(folder)
  if (manifest === null) {
    throw new BootError(`no Linux guest in ${folder}: run \`guestyard guest fetch linux\` first`)
  }
  const read = (file: string): Uint8Array => readChecked(folder, file, manifest.files[file])
  return {
    release: manifest.release,
    kernel: read(KERNEL_FILE),
    unpackedKernel: UNPACKED_KERNEL_FILE in manifest.files ? read(UNPACKED_KERNEL_FILE) : null,
    busybox: read(BUSYBOX_FILE),
    firmware: Uint8Array.from(read(FIRMWARE_FILE)),
    modules: manifest.modules.map((file) => ({ file, bytes: read(file) })),
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function readChecked(folder: string, file: string, hash: string | undefined): Uint8Array {
  const path = join(folder, file)
  let bytes: Uint8Array
  try {
    bytes = readFileSync(path)
  } catch (error) {
    if (isMissing(error)) throw new BootError(`${path}: is not there; fetch the guest again`)
    throw error
  }
  if (sha256(bytes) === hash) return bytes
  throw new BootError(`${path}: is not what was fetched (its SHA-256 differs); fetch it again`)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function isManifest(value: unknown): value is LinuxManifest {
  if (typeof value !== 'object' || value === null) return false
  const { release, packages, files, modules } = value as Partial<Record<string, unknown>>
  if (typeof release !== 'string' || !isNames(packages) || !isNames(modules)) return false
  return typeof files === 'object' && files !== null && modules.every((name) => name in files)
}

/** Plain file names: nothing that leaves the folder. */
function isNames(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.every((name) => typeof name === 'string' && name !== '' && !name.includes('/'))
  )
}

function isMissing(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === 'ENOENT'
}
