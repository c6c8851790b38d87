// Writes pcapng: one section, an interface for each port, a packet for each frame.

import {
  BLOCK_FRAMING_BYTES,
  BYTE_ORDER_MAGIC,
  BlockType,
  LINK_TYPE_ETHERNET,
  OptionCode,
  PacketDirection,
  padded,
} from './blocks.ts'

/** Takes a capture's bytes, which are good during the call only. */
export interface CaptureSink {
  write(bytes: Uint8Array): void
}

export interface PcapngPacketOptions {
  /** Microseconds since 1970, or since the start in virtual time. */
  readonly timeUs: number
  /** As seen by whoever is plugged in: sent by the switch to it is inbound. */
  readonly isInbound: boolean
  readonly comment?: string
  /** Bytes the frame had, where `bytes` is only its beginning. */
  readonly originalLength?: number
}

const SECTION_LENGTH_UNKNOWN = 0xffff_ffff
const PACKET_BODY_BYTES = 20
const COMMENT_MAX_BYTES = 1024

export class PcapngWriter {
  readonly #sink: CaptureSink
  readonly #snapBytes: number
  readonly #text = new TextEncoder()
  #bytes = new Uint8Array(4096)
  #view = new DataView(this.#bytes.buffer)
  #at = 0
  #interfaces = 0

  /** Writes the section's header at once. `snapBytes`: what is kept of a frame, 0 for all. */
  constructor(sink: CaptureSink, options: { application?: string; snapBytes?: number } = {}) {
    this.#sink = sink
    this.#snapBytes = options.snapBytes ?? 0
    this.#begin(BlockType.SECTION_HEADER)
    this.#u32(BYTE_ORDER_MAGIC)
    this.#u16(1)
    this.#u16(0)
    this.#u32(SECTION_LENGTH_UNKNOWN)
    this.#u32(SECTION_LENGTH_UNKNOWN)
    this.#option(OptionCode.USER_APPLICATION, this.#text.encode(options.application ?? 'guestyard'))
    this.#endOptions()
    this.#end()
  }

  /** Adds an interface; its number. Times are microseconds, which is what readers assume. */
  addInterface(name: string): number {
    this.#begin(BlockType.INTERFACE_DESCRIPTION)
    this.#u16(LINK_TYPE_ETHERNET)
    this.#u16(0)
    this.#u32(this.#snapBytes)
    this.#option(OptionCode.INTERFACE_NAME, this.#text.encode(name))
    this.#endOptions()
    this.#end()
    this.#interfaces += 1
    return this.#interfaces - 1
  }

  /** Adds a frame that an interface saw. Throws a RangeError for an interface that was not added. */
  packet(interfaceId: number, bytes: Uint8Array, options: PcapngPacketOptions): void {
    if (!(interfaceId >= 0 && interfaceId < this.#interfaces)) {
      throw new RangeError(`there is no interface ${interfaceId}`)
    }
    const kept = this.#snapBytes === 0 ? bytes.length : Math.min(bytes.length, this.#snapBytes)
    this.#begin(BlockType.ENHANCED_PACKET)
    this.#reserve(PACKET_BODY_BYTES)
    this.#u32(interfaceId)
    this.#u32(Math.floor(options.timeUs / 0x1_0000_0000))
    this.#u32(options.timeUs % 0x1_0000_0000)
    this.#u32(kept)
    this.#u32(options.originalLength ?? bytes.length)
    this.#raw(bytes.subarray(0, kept))
    const flags = options.isInbound ? PacketDirection.INBOUND : PacketDirection.OUTBOUND
    this.#option(OptionCode.PACKET_FLAGS, Uint8Array.of(flags, 0, 0, 0))
    if (options.comment !== undefined) {
      const comment = this.#text.encode(options.comment)
      this.#option(OptionCode.COMMENT, comment.subarray(0, COMMENT_MAX_BYTES))
    }
    this.#endOptions()
    this.#end()
  }

  #begin(type: number): void {
    this.#at = 0
    this.#u32(type)
    this.#u32(0)
  }

  #end(): void {
    const length = this.#at + 4
    this.#u32(length)
    this.#view.setUint32(4, length, true)
    this.#sink.write(this.#bytes.subarray(0, length))
  }

  #option(code: number, value: Uint8Array): void {
    this.#u16(code)
    this.#u16(value.length)
    this.#raw(value)
  }

  #endOptions(): void {
    this.#u32(0)
  }

  #raw(bytes: Uint8Array): void {
    const length = padded(bytes.length)
    this.#reserve(length)
    this.#bytes.fill(0, this.#at, this.#at + length)
    this.#bytes.set(bytes, this.#at)
    this.#at += length
  }

  #u16(value: number): void {
    this.#reserve(2)
    this.#view.setUint16(this.#at, value, true)
    this.#at += 2
  }

  #u32(value: number): void {
    this.#reserve(4)
    this.#view.setUint32(this.#at, value, true)
    this.#at += 4
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes + BLOCK_FRAMING_BYTES
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    grown.set(this.#bytes)
    this.#bytes = grown
    this.#view = new DataView(grown.buffer)
  }
}
