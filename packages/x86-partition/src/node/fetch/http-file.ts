// Files over HTTP: redirects followed by hand, transfers that break off resumed where they were, hosts that go silent left. What a file is in
// the end is for its hash to say; nothing here is believed because of who sent it.

import { createHash } from 'node:crypto'
import {
  closeSync,
  createReadStream,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'

import { FetchError, wordsOf } from './fetch-error.ts'

export interface HttpOptions {
  readonly signal: AbortSignal
  /** After so many milliseconds without a byte a host counts as silent. */
  readonly stallMs?: number
}

/** What a file has to be. */
export interface FileToFetch {
  readonly url: URL
  readonly sizeBytes: number
  /** Hex. */
  readonly sha256: string
  /** Where it goes once it is whole; until then its bytes are in `PATH.HASH.part`. */
  readonly path: string
  readonly onBytes: (done: number) => void
}

interface Transfer {
  readonly url: URL
  /** First byte that is missing. */
  readonly from: number
  /** What the server called the version that the bytes before are of. */
  readonly validator: string | null
  /** Redirects may not leave HTTPS. */
  readonly isSecure: boolean
  /** Where the bytes begin, and what the server calls their version; throws what refuses the answer. */
  readonly onAnswer: (from: number, validator: string | null) => void
  readonly onBytes: (bytes: Uint8Array) => void
}

const STALL_MS = 30_000
const REDIRECTS_MAX = 5
/** Times that one file may break off; each of them has to bring something. */
const RESUMES_MAX = 50

/** A transfer that ended before its end. */
class BrokenOff extends FetchError {}

export class HttpFiles {
  readonly #signal: AbortSignal
  readonly #stallMs: number

  constructor({ signal, stallMs = STALL_MS }: HttpOptions) {
    this.#signal = signal
    this.#stallMs = stallMs
  }

  /** A small file, whole. `isSecure`: every host on the way has to prove who it is (HTTPS). */
  async read(url: URL, bytesMax: number, isSecure = false): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    let length = 0
    await this.#transfer({
      ...{ url, from: 0, validator: null, isSecure },
      onAnswer: () => {},
      onBytes: (bytes) => {
        pieces.push(bytes)
        length += bytes.length
        if (length > bytesMax) throw new FetchError(`${url.href}: is longer than ${bytesMax} bytes`)
      },
    })
    return Buffer.concat(pieces)
  }

  /** Fetches what is missing of a file and checks it. Rejects with a FetchError that names the URL. */
  async fetch(file: FileToFetch): Promise<void> {
    const part = `${file.path}.${file.sha256.slice(0, 16)}.part`
    if ((await hashOf(file.path)) === file.sha256) return
    const isFresh = sizeOf(part) === 0
    await this.#fill(part, file)
    let hash = await hashOf(part)
    if (hash !== file.sha256 && !isFresh) {
      // What was here before may be what is wrong.
      rmSync(part)
      await this.#fill(part, file)
      hash = await hashOf(part)
    }
    if (hash !== file.sha256) {
      rmSync(part)
      throw new FetchError(`${file.url.href}: is not what the archive promises (SHA-256 ${hash})`)
    }
    renameSync(part, file.path)
  }

  async #fill(part: string, file: FileToFetch): Promise<void> {
    const { url, sizeBytes, onBytes } = file
    let validator: string | null = null
    const fd = openSync(part, 'a+')
    try {
      if (sizeOf(part) > sizeBytes) ftruncateSync(fd)
      for (let times = 0; ; times++) {
        const before = sizeOf(part)
        if (before === sizeBytes) return
        let at = before
        try {
          await this.#transfer({
            ...{ url, from: before, validator, isSecure: false },
            onAnswer: (from, version) => {
              if (from === 0) ftruncateSync(fd)
              at = from
              validator = version
            },
            onBytes: (bytes) => {
              if (at + bytes.length > sizeBytes) {
                throw new FetchError(`${url.href}: is longer than its ${sizeBytes} bytes`)
              }
              at += writeSync(fd, bytes)
              onBytes(at)
            },
          })
          if (at < sizeBytes) {
            throw new BrokenOff(`${url.href}: ended after ${at} of ${sizeBytes} bytes`)
          }
        } catch (error) {
          const isWorthIt = error instanceof BrokenOff && at > before && times < RESUMES_MAX
          if (!isWorthIt) throw error
        }
      }
    } finally {
      closeSync(fd)
    }
  }

  async #transfer(transfer: Transfer): Promise<void> {
    const { url } = transfer
    const silence = new AbortController()
    const timer = setTimeout(() => silence.abort(), this.#stallMs)
    const signal = AbortSignal.any([this.#signal, silence.signal])
    let hasAnswered = false
    try {
      const response = await this.#follow(transfer, signal)
      hasAnswered = true
      const from = startOf(response, transfer.from)
      if (from === null && transfer.from > 0) {
        await response.body?.cancel()
        return await this.#transfer({ ...transfer, from: 0 })
      }
      if (from === null) throw new FetchError(`${url.href}: ${response.status} was not asked for`)
      transfer.onAnswer(from, validatorOf(response))
      for await (const bytes of response.body ?? []) {
        timer.refresh()
        transfer.onBytes(bytes)
      }
    } catch (error) {
      this.#signal.throwIfAborted()
      if (error instanceof FetchError) throw error
      const words = silence.signal.aborted ? `nothing came for ${this.#stallMs} ms` : wordsOf(error)
      throw hasAnswered
        ? new BrokenOff(`${url.href}: ${words}`)
        : new FetchError(`${url.href}: ${words}`)
    } finally {
      clearTimeout(timer)
      // Lets go of the connection where the answer was not read to its end.
      silence.abort()
    }
  }

  async #follow(transfer: Transfer, signal: AbortSignal): Promise<Response> {
    const { from, validator, isSecure } = transfer
    const headers = new Headers({ 'Accept-Encoding': 'identity' })
    if (from > 0) headers.set('Range', `bytes=${from}-`)
    if (from > 0 && validator !== null) headers.set('If-Range', validator)
    let { url } = transfer
    for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
      if (isSecure && url.protocol !== 'https:') throw new FetchError(`${url.href}: is not HTTPS`)
      const response = await askTwice(url, { headers, signal, redirect: 'manual' })
      const location = response.headers.get('Location')
      if (response.status < 300 || response.status >= 400 || location === null) {
        if (response.status === 200 || response.status === 206 || response.status === 416) {
          return response
        }
        throw new FetchError(`${url.href}: ${response.status} ${response.statusText}`.trimEnd())
      }
      await response.body?.cancel()
      url = new URL(location, url)
      if (!/^https?:$/.test(url.protocol)) throw new FetchError(`${url.href}: is no HTTP`)
    }
    throw new FetchError(`${transfer.url.href}: is redirected more than ${REDIRECTS_MAX} times`)
  }
}

/** A connection that was kept from an earlier answer may be closed by the time it is used: a second one is new. */
async function askTwice(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init)
  } catch (error) {
    if (init.signal?.aborted === true) throw error
    return fetch(url, init)
  }
}

/** Where an answer's bytes begin: at the front, or where it was asked for; null: neither. */
function startOf({ status, headers }: Response, from: number): number | null {
  if (status === 200) return 0
  const first = /^bytes (\d+)-/.exec(headers.get('Content-Range') ?? '')?.[1]
  return status === 206 && from > 0 && Number(first) === from ? from : null
}

/** A weak ETag says nothing of bytes. */
function validatorOf({ headers }: Response): string | null {
  const tag = headers.get('ETag')
  return tag !== null && !tag.startsWith('W/') ? tag : headers.get('Last-Modified')
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/** Null where there is no such file. */
async function hashOf(path: string): Promise<string | null> {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return null
  const hash = createHash('sha256')
  for await (const bytes of createReadStream(path)) hash.update(bytes as Uint8Array)
  return hash.digest('hex')
}
