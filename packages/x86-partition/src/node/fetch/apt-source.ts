// Packages by apt: as the user who runs it, in a folder of its own, for i386 whatever the host is. Nothing of the system changes. apt knows what is
// today's, resumes what it was downloading, takes the system's proxies and checks the archive's signatures.

import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

import { FetchError } from './fetch-error.ts'
import { KERNEL_META, KERNEL_NAME, OTHER_PACKAGES } from './package-source.ts'
import type { DebianPackage, PackageSource, SourceOptions } from './package-source.ts'

const MIRROR_DEFAULT = 'http://deb.debian.org/debian'
const OUTPUT_MAX = 64 * 1024 * 1024

const run = promisify(execFile)

/** Whether this host has apt. */
export async function hasApt(): Promise<boolean> {
  try {
    await run('apt-get', ['--version'])
    return true
  } catch {
    return false
  }
}

export class AptSource implements PackageSource {
  readonly #options: SourceOptions
  #wanted: readonly DebianPackage[] = []

  constructor(options: SourceOptions) {
    this.#options = options
  }

  async resolve(): Promise<readonly DebianPackage[]> {
    this.#prepare()
    this.#options.onProgress('asking the archive what there is')
    await this.#step('apt-get', 'update')
    this.#options.onProgress(`${this.#options.suite}: its signature checked by apt`)
    const output = await this.#step('apt-cache', 'depends', KERNEL_META)
    const kernel = KERNEL_NAME.exec(output)?.[0]
    if (kernel === undefined) {
      throw new FetchError(`apt-cache: ${KERNEL_META} does not say which kernel it stands for`)
    }
    const wanted: DebianPackage[] = []
    for (const name of [kernel, ...OTHER_PACKAGES]) {
      const shown = await this.#step('apt-cache', 'show', '--no-all-versions', name)
      const version = /^Version: (\S+)$/m.exec(shown)?.[1]
      if (version === undefined) throw new FetchError(`apt-cache: ${name} has no version`)
      wanted.push({ name, version })
    }
    this.#wanted = wanted
    return wanted
  }

  async download(): Promise<readonly string[]> {
    const { work } = this.#options
    const names = this.#wanted.map(({ name, version }) => `${name}=${version}`)
    await this.#step('apt-get', 'download', ...names)
    const archives = readdirSync(work).filter((name) => name.endsWith('.deb'))
    return this.#wanted.map(({ name, version }) => {
      // apt writes a colon as `%3a`.
      const start = `${name}_${version.replaceAll(':', '%3a')}_`
      const found = archives.find((archive) => archive.startsWith(start))
      if (found === undefined) throw new FetchError(`${name}: apt did not leave an archive of it`)
      return join(work, found)
    })
  }

  /** A state of apt's own: lists, cache and sources; keys and proxies are the system's. */
  #prepare(): void {
    const { work, mirror, suite, keyring } = this.#options
    mkdirSync(join(work, 'lists', 'partial'), { recursive: true })
    mkdirSync(join(work, 'archives', 'partial'), { recursive: true })
    const keys = keyring === null ? '' : `[signed-by=${resolve(keyring)}] `
    const source = `deb ${keys}${mirror ?? MIRROR_DEFAULT} ${suite} main\n`
    writeFileSync(join(work, 'sources.list'), source)
    writeFileSync(join(work, 'status'), '')
  }

  #settings(): string[] {
    const { work } = this.#options
    const settings = {
      'APT::Architecture': 'i386',
      'APT::Architectures': 'i386',
      'APT::Sandbox::User': '',
      'Dir::State': work,
      'Dir::State::Lists': join(work, 'lists'),
      'Dir::State::status': join(work, 'status'),
      'Dir::Cache': work,
      'Dir::Cache::archives': join(work, 'archives'),
      'Dir::Etc::SourceList': join(work, 'sources.list'),
      'Dir::Etc::SourceParts': '-',
      'Acquire::Languages': 'none',
    }
    return [
      '-q',
      ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
    ]
  }

  async #step(command: string, ...args: string[]): Promise<string> {
    const { work, signal } = this.#options
    const options = { cwd: work, maxBuffer: OUTPUT_MAX, signal }
    try {
      const { stdout } = await run(command, [...this.#settings(), ...args], options)
      return stdout
    } catch (error) {
      signal.throwIfAborted()
      const { stderr } = error as { readonly stderr?: unknown }
      const said = typeof stderr === 'string' ? stderr.trim().split('\n').at(-1) : String(error)
      throw new FetchError(`${command} ${args[0]}: failed (${said})`)
    }
  }
}
