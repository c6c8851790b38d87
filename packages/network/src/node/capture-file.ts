// A capture's bytes in a file of this host, gathered into larger writes.

import { closeSync, openSync, writeSync } from 'node:fs'
import type { CaptureSink } from '../pcap/index.ts'

const GATHERED_BYTES = 64 * 1024

export interface CaptureFile extends CaptureSink {
  /** Why the file takes no more, such as a full disk; what comes after is lost, and traffic goes on. */
  readonly failure: string | undefined
  /** Writes what is gathered. */
  flush(): void
  /** Writes what is gathered, and ends it. A second call does nothing. */
  close(): void
}

/** Makes the file, or empties it. Throws what the host says when it can't. */
export function createCaptureFile(path: string): CaptureFile {
  return new GatheredFile(openSync(path, 'w'))
}

class GatheredFile implements CaptureFile {
  readonly #gathered = new Uint8Array(GATHERED_BYTES)
  #fd: number
  #length = 0
  failure: string | undefined = undefined

  constructor(fd: number) {
    this.#fd = fd
  }

  write(bytes: Uint8Array): void {
    if (this.#fd < 0 || this.failure !== undefined) return
    if (bytes.length > GATHERED_BYTES - this.#length) this.flush()
    if (bytes.length > GATHERED_BYTES) {
      this.#put(bytes)
      return
    }
    this.#gathered.set(bytes, this.#length)
    this.#length += bytes.length
  }

  flush(): void {
    const length = this.#length
    this.#length = 0
    if (length > 0 && this.#fd >= 0) this.#put(this.#gathered.subarray(0, length))
  }

  close(): void {
    if (this.#fd < 0) return
    this.flush()
    closeSync(this.#fd)
    this.#fd = -1
  }

  #put(bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done)
      }
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error)
    }
  }
}
