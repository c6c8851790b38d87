// The host's end of COM2, where the guest serves commands (exec-server.ts): bytes in, bytes out, no waiting. What the guest says is the
// guest's: whatever comes, this end stays in order, and keeps no more of an output than it is allowed to.

import { PIECE_CHARACTERS_MAX } from './exec-server.ts'

/** How a script ended. */
export interface ExecResult {
  /** 0..255, as the shell says it. */
  readonly exitCode: number
  /** What it printed, standard output and errors in their order. */
  readonly output: Uint8Array
  /** It printed more than is kept. */
  readonly isCut: boolean
}

interface Request {
  /** Lines still to be sent, the next one last. */
  readonly lines: string[]
  readonly done: (result: ExecResult) => void
}

/** Of one output. */
const OUTPUT_MAX_DEFAULT = 16 * 1024 * 1024
/** The longest mark line: longer ones are output. */
const MARK_LINE_MAX = 128
const NUL = 0
const NEWLINE = 0x0a

export class ExecChannel {
  readonly #prefix: string
  readonly #send: (bytes: Uint8Array) => void
  readonly #onReady: () => void
  readonly #outputMax: number
  readonly #waiting: Request[] = []
  #current: Request | null = null
  #isReady = false
  #output = new Uint8Array(4096)
  #outputBytes = 0
  #isCut = false
  /** After a NUL: what may become a mark line. */
  #line: number[] | null = null

  /** `send`: bytes for COM2. `onReady`: told once, when the guest serves. */
  constructor(
    mark: string,
    send: (bytes: Uint8Array) => void,
    onReady: () => void,
    outputMax: number = OUTPUT_MAX_DEFAULT,
  ) {
    this.#prefix = `${mark} `
    this.#send = send
    this.#onReady = onReady
    this.#outputMax = outputMax
  }

  get isReady(): boolean {
    return this.#isReady
  }

  /** No script runs or waits. */
  get isIdle(): boolean {
    return this.#isReady && this.#current === null && this.#waiting.length === 0
  }

  /** The guest served before it was saved, and says so no more. */
  resume(): void {
    this.#isReady = true
    this.#onReady()
  }

  /** Runs a shell script, after those that were asked for before. `done` from within `receive`. */
  run(script: string, done: (result: ExecResult) => void): void {
    this.#waiting.push({ lines: linesOf(script), done })
    this.#next()
  }

  /** Asks the guest to turn itself off, whatever it is doing. */
  powerOff(): void {
    this.#sendLine('off')
  }

  /** A byte from COM2. */
  receive(byte: number): void {
    const line = this.#line
    if (line === null) {
      if (byte === NUL) this.#line = []
      else this.#keep(byte)
      return
    }
    if (byte === NEWLINE) {
      // Before anything is sent: an answer may come from within.
      this.#line = null
      if (!this.#takeLine(String.fromCharCode(...line))) this.#keepAll(line, byte)
    } else if (byte !== NUL && line.length < MARK_LINE_MAX) {
      line.push(byte)
    } else {
      // It was output after all; another NUL may begin a mark.
      this.#line = byte === NUL ? [] : null
      this.#keepAll(line, byte)
    }
  }

  /** True for what the guest's server says when it is due; everything else is output. */
  #takeLine(line: string): boolean {
    if (!line.startsWith(this.#prefix)) return false
    const words = line.slice(this.#prefix.length)
    if (words === 'ready') {
      if (this.#isReady) return false
      this.#isReady = true
      this.#onReady()
      this.#next()
      return true
    }
    const request = this.#current
    if (request === null) return false
    const isSent = request.lines.length === 0
    if (words === 'ok' && !isSent) {
      this.#sendNextLine()
      return true
    }
    const exit = /^exit ([0-9]{1,3})$/.exec(words)
    if (exit === null || !isSent) return false
    this.#finish(request, Number(exit[1]))
    return true
  }

  #next(): void {
    if (!this.#isReady || this.#current !== null) return
    this.#current = this.#waiting.shift() ?? null
    if (this.#current === null) return
    this.#outputBytes = 0
    this.#isCut = false
    this.#sendNextLine()
  }

  #sendNextLine(): void {
    const line = this.#current?.lines.pop()
    if (line !== undefined) this.#sendLine(line)
  }

  #sendLine(line: string): void {
    this.#send(new TextEncoder().encode(`${line}\n`))
  }

  #finish(request: Request, exitCode: number): void {
    this.#current = null
    request.done({
      exitCode: exitCode & 0xff,
      output: this.#output.slice(0, this.#outputBytes),
      isCut: this.#isCut,
    })
    this.#next()
  }

  /** What might have become a mark line, and the byte behind it, unless that begins another. */
  #keepAll(line: readonly number[], byte: number): void {
    this.#keep(NUL)
    for (const other of line) this.#keep(other)
    if (byte !== NUL) this.#keep(byte)
  }

  #keep(byte: number): void {
    if (this.#current === null) return
    if (this.#outputBytes >= this.#outputMax) {
      this.#isCut = true
      return
    }
    if (this.#outputBytes === this.#output.length) {
      const larger = new Uint8Array(this.#output.length * 2)
      larger.set(this.#output)
      this.#output = larger
    }
    this.#output[this.#outputBytes++] = byte
  }
}

/** In reverse: the next one is taken from the end. */
function linesOf(script: string): string[] {
  const bytes = new TextEncoder().encode(script)
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  const encoded = btoa(binary)
  const lines: string[] = []
  for (let at = 0; at < encoded.length; at += PIECE_CHARACTERS_MAX) {
    lines.push(`put ${encoded.slice(at, at + PIECE_CHARACTERS_MAX)}`)
  }
  return [...lines, 'run'].toReversed()
}
