// Packages from a Debian mirror over HTTP, for hosts that have no apt: Release, checked; Packages, whose hash is in it; archives, whose hashes
// are in that.
//
//   dists/SUITE/InRelease ──▶ main/binary-i386/Packages.xz ──▶ linux-image-686 ──▶ today's kernel ─▶ pool/….deb
//                                                          └─▶ busybox, … ────────────────────────▶ pool/….deb

import * as http from 'node:http'
import { mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'

import { parsePackage, paragraphs, parseRelease } from './debian-index.ts'
import type { IndexedFile, IndexedPackage, Release } from './debian-index.ts'
import { compareVersions } from './debian-version.ts'
import { FetchError } from './fetch-error.ts'
import { HttpFiles } from './http-file.ts'
import { KERNEL_META, KERNEL_NAME, OTHER_PACKAGES } from './package-source.ts'
import type { PackageSource, SourceOptions } from './package-source.ts'
import { checkedRelease, findGpgv } from './release-check.ts'
import type { CheckedRelease, CheckOptions } from './release-check.ts'
import { unpacked } from './unpacked.ts'

/** What tests put in place of the world's. */
export interface MirrorParts {
  readonly check?: (options: CheckOptions) => Promise<CheckedRelease>
  readonly findGpgv?: () => Promise<string | null>
  readonly stallMs?: number
}

const MIRROR_DEFAULT = 'https://deb.debian.org/debian'
const PACKAGES = 'main/binary-i386/Packages'
/** Best first; what they are is in the last letters of their names. */
const PACKAGES_FORMS = ['.xz', '.gz', '']
const INDEX_BYTES_MAX = 256 * 1024 * 1024

export class MirrorSource implements PackageSource {
  readonly #options: SourceOptions
  readonly #parts: MirrorParts
  readonly #mirror: string
  readonly #files: HttpFiles
  #wanted: readonly IndexedPackage[] = []

  constructor(options: SourceOptions, parts: MirrorParts = {}) {
    const { signal, mirror } = options
    this.#options = options
    this.#parts = parts
    this.#mirror = (mirror ?? MIRROR_DEFAULT).replace(/\/+$/, '')
    this.#files = new HttpFiles({ signal, ...parts })
  }

  resolve(): Promise<readonly IndexedPackage[]> {
    return throughProxies(() => this.#resolve())
  }

  download(): Promise<readonly string[]> {
    return throughProxies(async () => {
      const paths: string[] = []
      for (const { file } of this.#wanted) paths.push(await this.#fetch(this.#mirror, file))
      return paths
    })
  }

  async #resolve(): Promise<readonly IndexedPackage[]> {
    const { work, suite, keyring, signal, onProgress } = this.#options
    const { check = checkedRelease, findGpgv: find = findGpgv } = this.#parts
    mkdirSync(work, { recursive: true })
    const url = `${this.#mirror}/dists/${suite}`
    onProgress(`asking ${new URL(url).host} what there is`)
    const gpgv = await find()
    const checked = await check({ files: this.#files, url, work, keyring, signal, gpgv })
    onProgress(`${suite}: ${checked.why}`)
    const release = soundRelease(checked.text, url, suite)
    const packages = await this.#readPackages(url, release)
    const kernel = KERNEL_NAME.exec(newest(packages, KERNEL_META, url).depends)?.[0]
    if (kernel === undefined) {
      throw new FetchError(`${url}: ${KERNEL_META} does not say which kernel it stands for`)
    }
    this.#wanted = [kernel, ...OTHER_PACKAGES].map((name) => newest(packages, name, url))
    return this.#wanted
  }

  /** Those that may be wanted. */
  async #readPackages(url: string, release: Release): Promise<IndexedPackage[]> {
    const index = PACKAGES_FORMS.map((form) => release.files.get(PACKAGES + form)).find(
      (file) => file !== undefined,
    )
    if (index === undefined) throw new FetchError(`${url}: has no ${PACKAGES}`)
    const byHash = index.path.replace(/[^/]+$/, `by-hash/SHA256/${index.sha256}`)
    const place = release.isByHash ? byHash : index.path
    const path = await this.#fetch(url, index, place)
    const found: IndexedPackage[] = []
    const where = `${url}/${index.path}`
    const bytes = unpacked(path, { name: where, form: index.path, bytesMax: INDEX_BYTES_MAX })
    for await (const paragraph of paragraphs(bytes, where)) {
      const name = /^Package: (.*)$/m.exec(paragraph)?.[1] ?? ''
      if (!OTHER_PACKAGES.includes(name) && !name.startsWith('linux-image-')) continue
      const described = parsePackage(paragraph)
      if (described !== null) found.push(described)
    }
    return found
  }

  /** The path of a file whose hash is as promised. */
  async #fetch(root: string, file: IndexedFile, place: string = file.path): Promise<string> {
    const { work, onBytes } = this.#options
    const { sizeBytes: total, sha256 } = file
    const name = basename(file.path)
    const path = join(work, name)
    const url = new URL(`${root}/${place}`)
    onBytes({ file: name, done: 0, total })
    await this.#files.fetch({
      ...{ url, sizeBytes: total, sha256, path },
      onBytes: (done) => onBytes({ file: name, done, total }),
    })
    return path
  }
}

/** A Release that is of this suite, and not of the past. */
function soundRelease(text: string, url: string, suite: string): Release {
  const release = parseRelease(text, `${url}/Release`)
  if (suite !== release.suite && suite !== release.codename) {
    throw new FetchError(`${url}/Release: is of ${release.codename || 'no suite'}, not of ${suite}`)
  }
  const { validUntil } = release
  if (validUntil !== null && !(validUntil.getTime() > Date.now())) {
    throw new FetchError(`${url}/Release: was valid until ${validUntil.toString()}`)
  }
  return release
}

function newest(packages: readonly IndexedPackage[], name: string, url: string): IndexedPackage {
  const found = packages
    .filter((each) => each.name === name)
    .toSorted((a, b) => compareVersions(a.version, b.version))
    .at(-1)
  if (found === undefined) throw new FetchError(`${url}: has no package ${name} for i386`)
  return found
}

/** With the proxies of the environment (`http_proxy` and its kin), where this Node can take them. */
async function throughProxies<T>(work: () => Promise<T>): Promise<T> {
  const { setGlobalProxyFromEnv } = http as Partial<typeof http>
  const restore = setGlobalProxyFromEnv?.()
  try {
    return await work()
  } finally {
    restore?.()
  }
}
