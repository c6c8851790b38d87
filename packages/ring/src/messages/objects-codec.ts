import { Packr, RESET_BUFFER_MODE, REUSE_BUFFER_MODE } from 'msgpackr'
import { ChannelError } from './channel-error.ts'
import type { Codec } from './codec.ts'
import { NOT_PLAIN, PlainEncoder } from './plain-encoder.ts'

/**
 * Typed objects by msgpackr. Objects of one shape travel as records: the shape's keys go out once, with the
 * first object that has it, and later ones refer to it. The receiver must therefore decode in order all that
 * was encoded, which a channel guarantees: what was encoded is sent, and an encoder that failed starts anew.
 *
 * Plain data, the usual message, is written by `PlainEncoder` in the same format; all else by msgpackr. Each has
 * its own shapes, so each has its own decoder: `format` says which.
 *
 * msgpackr writes into one buffer per thread, shared by everybody who imports it. `encode` borrows that slot
 * for the staging area, so that objects are written straight into it, and gives it back before it returns.
 */

const FORMAT_PLAIN = 0
const FORMAT_ANY = 1
/** After so many messages in a row that were not plain, only every so many are tried as plain. */
const NOT_PLAIN_RUN = 8
const PLAIN_RETRY_EVERY = 64

/** msgpackr takes a fresh buffer when fewer than these bytes are left at its start, and keeps 10 spare at the end. */
const MIN_DIRECT_BYTES = 0x800 + 10
/** Where msgpackr is at its best with short strings: sources that end before its byte 140. */
const SHORT_BYTES = 128
/** Of record shapes that one end keeps: the most whose ids take one byte. */
const MAX_SHAPES = 64

/** The fields msgpackr leaves on the buffer it encoded into, in `REUSE_BUFFER_MODE`. */
interface EncodedBuffer extends Uint8Array {
  start: number
  end: number
}

/** Finds out which buffer msgpackr uses at the moment; writes one byte that its next user overwrites. */
const probe: Packr = new Packr({ useRecords: false })

export interface ObjectsCodecOptions {
  /** Keep shared and cyclic references, as structured clone does. Costs a lookup per object. */
  readonly references: boolean
}

export class ObjectsCodec<Sent, Received> implements Codec<Sent, Received> {
  overflow: Uint8Array | undefined = undefined
  format: number = FORMAT_ANY
  #notPlain = 0
  readonly #options: ObjectsCodecOptions
  readonly #plain: PlainEncoder = new PlainEncoder()
  readonly #plainDecoder: Packr
  readonly #anyDecoder: Packr
  readonly #short: Uint8Array
  readonly #shortWords: Int32Array
  readonly #range: { start: number; end: number } = { start: 0, end: 0 }
  #encoder: Packr
  #staging: Uint8Array | undefined = undefined
  #window: Uint8Array = new Uint8Array(0)
  #arena: Uint8Array | undefined = undefined
  #arenaBytes: Uint8Array = new Uint8Array(0)
  #arenaWords: Int32Array = new Int32Array(0)
  #encoding = false

  constructor(options: ObjectsCodecOptions) {
    this.#options = options
    this.#encoder = newPackr(options)
    this.#plainDecoder = newPackr({ references: false })
    this.#anyDecoder = newPackr(options)
    const short = new ArrayBuffer(SHORT_BYTES)
    this.#short = asNativeBytes(new Uint8Array(short))
    this.#shortWords = new Int32Array(short)
  }

  encode(value: Sent, staging: Uint8Array): number {
    if (value === undefined) {
      throw new ChannelError(
        'not-encodable',
        'undefined cannot be sent: receive() gives it at the end',
      )
    }
    if (this.#encoding) {
      throw new ChannelError('not-encodable', 'send() was called while this end encodes a message')
    }
    if (staging !== this.#staging) {
      this.#staging = staging
      this.#window = asNativeBytes(staging)
    }
    this.#encoding = true
    try {
      const length = this.#encodePlain(value, staging)
      return length === NOT_PLAIN ? this.#encodeBorrowing(value) : length
    } catch (error) {
      this.forget()
      if (error instanceof ChannelError) throw error
      throw new ChannelError(
        'not-encodable',
        `the message cannot be encoded: ${messageOf(error)}`,
        {
          cause: error,
        },
      )
    } finally {
      this.#encoding = false
    }
  }

  forget(): void {
    this.overflow = undefined
    this.#plain.forget()
    this.#encoder = newPackr(this.#options)
  }

  decode(bytes: Uint8Array, at: number, length: number, format: number): Received {
    const decoder = this.#decoderOf(format)
    if (bytes !== this.#arena) this.#mapArena(bytes)
    const range = this.#range
    if (length > SHORT_BYTES) {
      range.start = at
      range.end = at + length
      return decoder.unpack(this.#arenaBytes, range) as Received
    }
    const from = (this.#arenaBytes.byteOffset + at) >> 2
    const words = (length + 3) >> 2
    for (let i = 0; i < words; i++) this.#shortWords[i] = this.#arenaWords[from + i]!
    range.start = 0
    range.end = length
    return decoder.unpack(this.#short, range) as Received
  }

  decodeOwned(bytes: Uint8Array, format: number): Received {
    return this.#decoderOf(format).unpack(asNativeBytes(bytes)) as Received
  }

  #decoderOf(format: number): Packr {
    return format === FORMAT_PLAIN ? this.#plainDecoder : this.#anyDecoder
  }

  #encodePlain(value: Sent, staging: Uint8Array): number {
    if (this.#options.references) return NOT_PLAIN
    if (this.#notPlain >= NOT_PLAIN_RUN && this.#notPlain % PLAIN_RETRY_EVERY !== 0) {
      this.#notPlain++
      return NOT_PLAIN
    }
    const length = this.#plain.encode(value, staging)
    if (length === NOT_PLAIN) {
      this.#notPlain++
      return NOT_PLAIN
    }
    this.#notPlain = 0
    this.overflow = undefined
    this.format = FORMAT_PLAIN
    return length
  }

  #encodeBorrowing(value: Sent): number {
    this.format = FORMAT_ANY
    const window = this.#window
    const direct = window.length >= MIN_DIRECT_BYTES
    const theirs = probe.pack(null, REUSE_BUFFER_MODE | RESET_BUFFER_MODE)
    const theirPosition = probe.position
    // Called from inside somebody's encoding, the probe was given a buffer of its own: then there is nothing
    // to borrow, and the message takes the slow way.
    const idle = (theirs as Uint8Array as EncodedBuffer).start === theirPosition
    if (!direct || !idle) {
      this.overflow = Uint8Array.prototype.slice.call(this.#encoder.pack(value))
      return this.overflow.length
    }
    this.#encoder.useBuffer(window)
    try {
      const written: Uint8Array = this.#encoder.pack(value, REUSE_BUFFER_MODE)
      return this.#lengthOf(written)
    } finally {
      this.#encoder.useBuffer(theirs)
      this.#encoder.position = theirPosition
    }
  }

  #lengthOf(written: Uint8Array): number {
    const { start, end } = written as Partial<EncodedBuffer>
    // With references to insert msgpackr returns a part of its buffer, without the two fields.
    const part = start === undefined || end === undefined
    const length = part ? written.length : end - start
    // Still the staging area, or a larger buffer that msgpackr took when the message outgrew it?
    if (written.buffer === this.#window.buffer) this.overflow = undefined
    else this.overflow = part ? written : written.subarray(start, end)
    return length
  }

  #mapArena(arena: Uint8Array): void {
    this.#arena = arena
    this.#arenaBytes = asNativeBytes(arena)
    this.#arenaWords = new Int32Array(arena.buffer, 0, arena.buffer.byteLength >> 2)
  }
}

function newPackr(options: ObjectsCodecOptions): Packr {
  return new Packr({
    sequential: true,
    maxOwnStructures: MAX_SHAPES,
    moreTypes: true,
    copyBuffers: true,
    structuredClone: options.references,
    writeFunction: refuseFunction,
  })
}

function refuseFunction(): never {
  throw new ChannelError('not-encodable', 'a function cannot be sent')
}

/** In Node msgpackr wants Buffers, over the same memory; elsewhere plain bytes. */
function asNativeBytes(bytes: Uint8Array): Uint8Array {
  if (typeof globalThis.Buffer !== 'function') {
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  }
  return globalThis.Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
