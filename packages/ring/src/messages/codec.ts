import { ChannelError } from './channel-error.ts'

/** How values become bytes and back. One instance serves one end of one channel. */
export interface Codec<Sent, Received> {
  /** Set by `encode` when the value did not fit into the staging area: the bytes are here instead. */
  overflow: Uint8Array | undefined
  /** Set by `encode`: how the bytes are to be decoded, 0 to 255. Travels with them. */
  format: number
  /**
   * Encodes into `staging` from its start and returns the bytes used; or leaves the bytes in `overflow`.
   * Throws for a value that cannot be encoded, and is then as it was before.
   */
  encode(value: Sent, staging: Uint8Array): number
  /** The last encoded value will not be sent after all. */
  forget(): void
  /** Decodes `length` bytes at `at`; the result shares nothing with `bytes`. Throws for bytes that mean nothing. */
  decode(bytes: Uint8Array, at: number, length: number, format: number): Received
  /** Decodes bytes that the caller gives away. */
  decodeOwned(bytes: Uint8Array, format: number): Received
}

/** Bytes as they are. */
export class BytesCodec implements Codec<Uint8Array, Uint8Array> {
  overflow: Uint8Array | undefined = undefined
  readonly format = 0

  encode(value: Uint8Array, staging: Uint8Array): number {
    if (!(value instanceof Uint8Array)) {
      throw new ChannelError('not-encodable', 'a byte channel sends Uint8Array values only')
    }
    if (value.length > staging.length) {
      this.overflow = value
      return value.length
    }
    this.overflow = undefined
    staging.set(value)
    return value.length
  }

  forget(): void {
    this.overflow = undefined
  }

  decode(bytes: Uint8Array, at: number, length: number): Uint8Array {
    return Uint8Array.prototype.slice.call(bytes, at, at + length)
  }

  decodeOwned(bytes: Uint8Array): Uint8Array {
    return bytes
  }
}
