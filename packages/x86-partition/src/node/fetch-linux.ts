// Fetches the Linux guest with apt: as the user who runs it, in a folder of its own, for i386 whatever the host is. Nothing of the system
// changes. apt resolves which kernel is today's, resumes what it was downloading, and checks the archive's signatures.

import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'

import { BootError } from '../boot/boot-error.ts'
import type { KernelModule } from '../guest/initramfs.ts'
import { LINUX_MODULES } from '../guest/linux-modules.ts'
import { inLoadOrder, moduleName } from '../guest/module-order.ts'
import { BUSYBOX_FILE, KERNEL_FILE, MANIFEST_FILE, sha256 } from './linux-cache.ts'
import type { LinuxManifest } from './linux-cache.ts'

export interface FetchOptions {
  /** Where the guest is kept. */
  readonly folder: string
  /** A Debian mirror; default `http://deb.debian.org/debian`. */
  readonly mirror?: string
  /** Release of Debian; default `bookworm`. */
  readonly suite?: string
  /** One line for each step. */
  readonly onProgress: (line: string) => void
}

const MIRROR_DEFAULT = 'http://deb.debian.org/debian'
const SUITE_DEFAULT = 'bookworm'
/** Depends on the kernel of the day. */
const KERNEL_META = 'linux-image-686'
const BUSYBOX_PACKAGE = 'busybox-static'
const OUTPUT_MAX = 64 * 1024 * 1024

const run = promisify(execFile)

/** Rejects with a BootError that says which step went wrong, and why. */
export async function fetchLinux(options: FetchOptions): Promise<LinuxManifest> {
  const { folder, onProgress } = options
  const work = join(folder, 'apt')
  const apt = await prepareApt(work, options)
  onProgress('asking the archive what there is')
  await step('apt-get update', 'apt-get', [...apt, 'update'], work)
  const kernel = await kernelPackage(apt, work)
  onProgress(`downloading ${kernel} and ${BUSYBOX_PACKAGE}`)
  await step('apt-get download', 'apt-get', [...apt, 'download', kernel, BUSYBOX_PACKAGE], work)
  const packages = readdirSync(work).filter((name) => name.endsWith('.deb'))
  const tree = join(work, 'tree')
  rmSync(tree, { recursive: true, force: true })
  for (const name of [kernel, BUSYBOX_PACKAGE]) {
    const archive = newest(packages, name)
    onProgress(`unpacking ${archive}`)
    await step('dpkg-deb', 'dpkg-deb', ['-x', join(work, archive), tree], work)
  }
  const manifest = keep(folder, tree, kernel, packages)
  rmSync(work, { recursive: true, force: true })
  onProgress(`Linux ${manifest.release} is in ${folder}`)
  return manifest
}

/** A state of apt's own: lists, cache and sources in `work`, keys and proxies of the system. */
async function prepareApt(work: string, options: FetchOptions): Promise<string[]> {
  const { mirror = MIRROR_DEFAULT, suite = SUITE_DEFAULT } = options
  for (const [what, text] of [
    ['mirror', mirror],
    ['suite', suite],
  ] as const) {
    if (!/^[\w.:/~+-]+$/.test(text)) throw new BootError(`${what}: ${JSON.stringify(text)} is none`)
  }
  try {
    await run('apt-get', ['--version'])
  } catch {
    throw new BootError(
      'apt-get: is not there; the guest can be fetched on Debian and its kin only',
    )
  }
  mkdirSync(join(work, 'lists', 'partial'), { recursive: true })
  mkdirSync(join(work, 'archives', 'partial'), { recursive: true })
  const sources = join(work, 'sources.list')
  writeFileSync(sources, `deb ${mirror} ${suite} main\n`)
  writeFileSync(join(work, 'status'), '')
  const settings = {
    'APT::Architecture': 'i386',
    'APT::Architectures': 'i386',
    'APT::Sandbox::User': '',
    'Dir::State': work,
    'Dir::State::Lists': join(work, 'lists'),
    'Dir::State::status': join(work, 'status'),
    'Dir::Cache': work,
    'Dir::Cache::archives': join(work, 'archives'),
    'Dir::Etc::SourceList': sources,
    'Dir::Etc::SourceParts': '-',
    'Acquire::Languages': 'none',
  }
  return ['-q', ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])]
}

async function kernelPackage(apt: readonly string[], work: string): Promise<string> {
  const output = await step('apt-cache', 'apt-cache', [...apt, 'depends', KERNEL_META], work)
  const found = /Depends: (linux-image-[\w.+-]+-686)\b/.exec(output)?.[1]
  if (found === undefined) {
    throw new BootError(`apt-cache: ${KERNEL_META} does not say which kernel it stands for`)
  }
  return found
}

/** The archive of a package; of several, which an interrupted fetch may have left, the last by name. */
function newest(archives: readonly string[], name: string): string {
  const found = archives
    .filter((archive) => archive.startsWith(`${name}_`))
    .toSorted()
    .at(-1)
  if (found === undefined) throw new BootError(`${name}: apt did not leave an archive of it`)
  return found
}

/** Copies what is used, and says so in the manifest, which comes last: a folder without one holds no guest. */
function keep(
  folder: string,
  tree: string,
  kernelName: string,
  archives: readonly string[],
): LinuxManifest {
  const release = kernelName.replace(/^linux-image-/, '')
  const files: Record<string, string> = {}
  const put = (name: string, bytes: Uint8Array): void => {
    const path = join(folder, name)
    writeFileSync(`${path}.new`, bytes)
    renameSync(`${path}.new`, path)
    files[name] = sha256(bytes)
  }
  rmSync(join(folder, MANIFEST_FILE), { force: true })
  put(KERNEL_FILE, readFileSync(join(tree, 'boot', `vmlinuz-${release}`)))
  put(BUSYBOX_FILE, readFileSync(join(tree, 'bin', 'busybox')))
  const modules = inLoadOrder(LINUX_MODULES, finderOf(join(tree, 'lib', 'modules', release)))
  for (const module of modules) put(module.file, module.bytes)
  const manifest: LinuxManifest = {
    release,
    packages: [kernelName, BUSYBOX_PACKAGE].map((name) => packageOf(newest(archives, name))),
    files,
    modules: modules.map(({ file }) => file),
  }
  writeFileSync(join(folder, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`)
  return manifest
}

/** `name_1%3a2.3_i386.deb` is `name=1:2.3`. */
function packageOf(archive: string): string {
  const [name = '', version = ''] = archive.split('_')
  return `${name}=${decodeURIComponent(version)}`
}

function finderOf(folder: string): (name: string) => KernelModule | undefined {
  const paths = new Map<string, string>()
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (entry.endsWith('.ko')) paths.set(moduleName(basename(entry)), entry)
  }
  return (name) => {
    const path = paths.get(name)
    return path === undefined
      ? undefined
      : { file: basename(path), bytes: readFileSync(join(folder, path)) }
  }
}

async function step(
  what: string,
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<string> {
  try {
    const { stdout } = await run(command, args, { cwd, maxBuffer: OUTPUT_MAX })
    return stdout
  } catch (error) {
    const { stderr } = error as { readonly stderr?: unknown }
    const said = typeof stderr === 'string' ? stderr.trim().split('\n').at(-1) : String(error)
    throw new BootError(`${what}: failed (${said})`)
  }
}
