/** How a fetch goes: a line for each step, and on a terminal one more that counts bytes and is written over. */

import type { FetchedBytes } from '@guestyard/x86-partition/node'

const MEGABYTE = 1e6
/** Erases the line that the cursor is in. */
const ERASE = '\r\u001B[K'

export class FetchProgress {
  readonly #stream: NodeJS.WritableStream & { readonly isTTY?: boolean }
  /** What the line that is written over says; empty: there is none. */
  #line = ''

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream
  }

  /** A step. */
  say(line: string): void {
    this.end()
    this.#stream.write(`guestyard: ${line}\n`)
  }

  /** Into a pipe, a file is told once: when its size is known. */
  count({ file, done, total }: FetchedBytes): void {
    if (this.#stream.isTTY !== true) {
      if (done === 0) this.say(`downloading ${file}, ${megabytes(total)} MB`)
      return
    }
    const percent = total === 0 ? 100 : Math.floor((done / total) * 100)
    const line = `guestyard: ${file}: ${megabytes(done)} of ${megabytes(total)} MB, ${percent} %`
    if (line === this.#line) return
    this.#line = line
    this.#stream.write(`${ERASE}${line}`)
  }

  /** Nothing is under way any more: the cursor is at the beginning of an empty line. */
  end(): void {
    if (this.#line !== '') this.#stream.write(ERASE)
    this.#line = ''
  }
}

function megabytes(bytes: number): string {
  return (bytes / MEGABYTE).toFixed(1)
}
