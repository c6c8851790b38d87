// Why an archive's Release is believed: an OpenPGP signature that gpgv checks, or, where there is no gpgv, that its host proved its name (HTTPS).
// Everything else that comes from the mirror is believed for its hash, which begins here.

import { execFile } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

import { DEBIAN_STABLE_KEY } from './debian-key.ts'
import { FetchError, wordsOf } from './fetch-error.ts'
import type { HttpFiles } from './http-file.ts'

export interface CheckedRelease {
  /** What was signed, and nothing around it. */
  readonly text: string
  /** Which check it passed, as a sentence about it. */
  readonly why: string
}

export interface CheckOptions {
  readonly files: HttpFiles
  /** Of the suite: `…/dists/bookworm`. */
  readonly url: string
  readonly work: string
  readonly keyring: string | null
  readonly signal: AbortSignal
  /** Which program checks signatures; null: none does. */
  readonly gpgv: string | null
}

const RELEASE_BYTES_MAX = 8 * 1024 * 1024
/** Of the package debian-archive-keyring: all of Debian's keys, where the host is a Debian. */
const SYSTEM_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

const run = promisify(execFile)

/** Rejects with a FetchError where nothing vouches for it. */
export function checkedRelease(options: CheckOptions): Promise<CheckedRelease> {
  return options.gpgv === null ? releaseOfHost(options) : signedRelease(options, options.gpgv)
}

/** `gpgv`, or null where it can't be run. */
export async function findGpgv(): Promise<string | null> {
  try {
    await run('gpgv', ['--version'])
    return 'gpgv'
  } catch {
    return null
  }
}

async function releaseOfHost(options: CheckOptions): Promise<CheckedRelease> {
  const { files, keyring } = options
  const url = new URL(`${options.url}/Release`)
  if (keyring !== null) throw new FetchError(`${keyring}: can't be used, gpgv is not there`)
  if (url.protocol !== 'https:') {
    throw new FetchError(`${url.href}: without gpgv only a mirror over https:// can be believed`)
  }
  const bytes = await files.read(url, RELEASE_BYTES_MAX, true)
  const why = `no signature checked (gpgv is not there): ${url.host} proved its name over HTTPS, and hashes are as it says`
  return { text: new TextDecoder().decode(bytes), why }
}

async function signedRelease(options: CheckOptions, gpgv: string): Promise<CheckedRelease> {
  const { files, work, signal } = options
  const url = new URL(`${options.url}/InRelease`)
  const signed = join(work, 'InRelease')
  const plain = join(work, 'Release')
  writeFileSync(signed, await files.read(url, RELEASE_BYTES_MAX))
  rmSync(plain, { force: true })
  const keyrings = keyringsOf(options).flatMap((path) => ['--keyring', path])
  let status: string
  try {
    // Several keys sign a Debian release: gpgv fails where it misses one, so that its exit code says nothing.
    const args = ['--homedir', work, ...keyrings, '--status-fd', '1', '--output', plain, signed]
    status = await run(gpgv, args, { signal }).then(
      ({ stdout }) => stdout,
      (error: unknown) => {
        signal.throwIfAborted()
        const { stdout } = error as { readonly stdout?: unknown }
        if (typeof stdout !== 'string') throw error
        return stdout
      },
    )
  } catch (error) {
    signal.throwIfAborted()
    throw new FetchError(`gpgv: ${wordsOf(error)}`)
  }
  const who = signerOf(status)
  if (who === null || !existsSync(plain)) {
    throw new FetchError(`${url.href}: has no good signature by a known key`)
  }
  return { text: readFileSync(plain, 'utf8'), why: `signed by ${who}` }
}

function keyringsOf({ work, keyring }: CheckOptions): string[] {
  if (keyring !== null) return [resolve(keyring)]
  const own = join(work, 'debian-stable.gpg')
  writeFileSync(own, DEBIAN_STABLE_KEY)
  return existsSync(SYSTEM_KEYRING) ? [own, SYSTEM_KEYRING] : [own]
}

/** Of a good signature, unless one of them is bad (GnuPG's doc/DETAILS). */
function signerOf(status: string): string | null {
  if (/^\[GNUPG:\] BADSIG /m.test(status) || !/^\[GNUPG:\] VALIDSIG /m.test(status)) return null
  return /^\[GNUPG:\] GOODSIG [\dA-F]+ (.*)$/m.exec(status)?.[1] ?? null
}
