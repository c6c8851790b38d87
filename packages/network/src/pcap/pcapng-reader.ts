// Reads pcapng out of bytes in memory: sections of either byte order, interfaces, packets. Blocks of other types are passed over.

import {
  BLOCK_FRAMING_BYTES,
  BLOCK_MAX_BYTES,
  BYTE_ORDER_MAGIC,
  BlockType,
  OptionCode,
  PacketDirection,
  padded,
} from './blocks.ts'

/** A file that is no pcapng, or is damaged: where, in bytes from its start. */
export class PcapngError extends Error {
  override readonly name = 'PcapngError'
  readonly offsetBytes: number

  constructor(message: string, offsetBytes: number) {
    super(`${message} (byte ${offsetBytes})`)
    this.offsetBytes = offsetBytes
  }
}

export interface PcapngPacket {
  /** Of its section, from 0. */
  readonly interfaceId: number
  /** '' when it has none. */
  readonly interfaceName: string
  /** 1: Ethernet. */
  readonly linkType: number
  /** Microseconds; 0 in blocks without a time. */
  readonly timeUs: number
  readonly originalLength: number
  /** A view of the file's bytes. */
  readonly bytes: Uint8Array
  readonly direction: 'unknown' | 'inbound' | 'outbound'
  readonly comments: readonly string[]
}

interface Interface {
  readonly name: string
  readonly linkType: number
  readonly snapBytes: number
  /** Units of its times in a second. */
  readonly ticksPerSecond: number
}

interface Option {
  readonly code: number
  readonly value: Uint8Array
}

const INTERFACES_MAX = 65_536
const DIRECTIONS = ['unknown', 'inbound', 'outbound', 'unknown'] as const

/** Packets in the order of the file. Throws a PcapngError where the file makes no sense; what came before has been given. */
export function* readPcapng(file: Uint8Array): Generator<PcapngPacket, void, undefined> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const reader = new BlockReader(file, view)
  while (reader.next()) {
    const packet = reader.packet()
    if (packet !== undefined) yield packet
  }
}

class BlockReader {
  readonly #file: Uint8Array
  readonly #view: DataView
  readonly #text = new TextDecoder()
  #isLittle = true
  #interfaces: Interface[] = []
  #type = 0
  #body = 0
  #end = 0
  #next = 0

  constructor(file: Uint8Array, view: DataView) {
    this.#file = file
    this.#view = view
  }

  /** Steps to the next block. False at the end. */
  next(): boolean {
    const at = this.#next
    const left = this.#file.length - at
    if (left === 0) {
      if (at === 0) throw new PcapngError('an empty file is no capture', 0)
      return false
    }
    if (left < BLOCK_FRAMING_BYTES) throw new PcapngError('the file ends within a block', at)
    // The same in both orders.
    this.#type = this.#view.getUint32(at, true)
    if (this.#type === BlockType.SECTION_HEADER) this.#beginSection(at)
    else if (at === 0) throw new PcapngError('the file does not begin with a section', at)
    else this.#type = this.#u32(at)
    const length = this.#u32(at + 4)
    const isSane = length >= BLOCK_FRAMING_BYTES && length <= BLOCK_MAX_BYTES && length % 4 === 0
    if (!isSane) throw new PcapngError(`a block of ${length} bytes`, at + 4)
    if (length > left) throw new PcapngError('the file ends within a block', at)
    if (this.#u32(at + length - 4) !== length) {
      throw new PcapngError('a block tells two lengths', at + length - 4)
    }
    this.#body = at + 8
    this.#end = at + length - 4
    this.#next = at + length
    if (this.#type === BlockType.INTERFACE_DESCRIPTION) this.#addInterface()
    return true
  }

  /** The block as a packet, if it is one. */
  packet(): PcapngPacket | undefined {
    if (this.#type === BlockType.ENHANCED_PACKET) return this.#enhanced()
    if (this.#type === BlockType.SIMPLE_PACKET) return this.#simple()
    return undefined
  }

  #beginSection(at: number): void {
    const left = this.#file.length - at
    if (left < 28) throw new PcapngError('the file ends within a block', at)
    const magic = this.#view.getUint32(at + 8, true)
    this.#isLittle = magic === BYTE_ORDER_MAGIC
    if (this.#u32(at + 8) !== BYTE_ORDER_MAGIC) {
      throw new PcapngError('a section without a byte order', at + 8)
    }
    if (this.#u16(at + 12) !== 1) throw new PcapngError('an unknown version', at + 12)
    this.#interfaces = []
  }

  #addInterface(): void {
    this.#needs(8)
    if (this.#interfaces.length === INTERFACES_MAX) {
      throw new PcapngError('too many interfaces', this.#body)
    }
    let name = ''
    let ticksPerSecond = 1e6
    for (const { code, value } of this.#options(this.#body + 8)) {
      if (code === OptionCode.INTERFACE_NAME) name = this.#text.decode(value)
      const [resolution] = value
      if (code !== OptionCode.TIME_RESOLUTION || resolution === undefined) continue
      const exponent = resolution & 0x7f
      ticksPerSecond = resolution < 0x80 ? 10 ** exponent : 2 ** exponent
    }
    const linkType = this.#u16(this.#body)
    const snapBytes = this.#u32(this.#body + 4)
    this.#interfaces.push({ name, linkType, snapBytes, ticksPerSecond })
  }

  #enhanced(): PcapngPacket {
    this.#needs(20)
    const at = this.#body
    const interfaceId = this.#u32(at)
    const from = this.#interfaceOf(interfaceId)
    const ticks = this.#u32(at + 4) * 0x1_0000_0000 + this.#u32(at + 8)
    const length = this.#u32(at + 12)
    if (length > this.#end - at - 20) throw new PcapngError('a packet leaves its block', at + 12)
    let direction = 0
    const comments: string[] = []
    for (const { code, value } of this.#options(at + 20 + padded(length))) {
      if (code === OptionCode.COMMENT) comments.push(this.#text.decode(value))
      if (code === OptionCode.PACKET_FLAGS && value.length === 4) {
        direction = value[this.#isLittle ? 0 : 3]! & 3
      }
    }
    return {
      interfaceId,
      interfaceName: from.name,
      linkType: from.linkType,
      timeUs: (ticks / from.ticksPerSecond) * 1e6,
      originalLength: this.#u32(at + 16),
      bytes: this.#file.subarray(at + 20, at + 20 + length),
      direction: DIRECTIONS[direction] ?? DIRECTIONS[PacketDirection.UNKNOWN],
      comments,
    }
  }

  #simple(): PcapngPacket {
    this.#needs(4)
    const at = this.#body
    const from = this.#interfaceOf(0)
    const originalLength = this.#u32(at)
    const room = this.#end - at - 4
    const snapped = from.snapBytes === 0 ? originalLength : Math.min(originalLength, from.snapBytes)
    if (snapped > room) throw new PcapngError('a packet leaves its block', at)
    return {
      interfaceId: 0,
      interfaceName: from.name,
      linkType: from.linkType,
      timeUs: 0,
      originalLength,
      bytes: this.#file.subarray(at + 4, at + 4 + snapped),
      direction: 'unknown',
      comments: [],
    }
  }

  #interfaceOf(id: number): Interface {
    const found = this.#interfaces[id]
    if (found === undefined) throw new PcapngError(`there is no interface ${id}`, this.#body)
    return found
  }

  *#options(from: number): Generator<Option, void, undefined> {
    let at = from
    while (this.#end - at >= 4) {
      const code = this.#u16(at)
      const length = this.#u16(at + 2)
      if (code === OptionCode.END) return
      if (padded(length) > this.#end - at - 4) {
        throw new PcapngError('an option leaves its block', at)
      }
      yield { code, value: this.#file.subarray(at + 4, at + 4 + length) }
      at += 4 + padded(length)
    }
  }

  #needs(bytes: number): void {
    if (this.#end - this.#body < bytes) throw new PcapngError('a block is too short', this.#body)
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, this.#isLittle)
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, this.#isLittle)
  }
}
