// HOT
// One Ethernet frame on its way: the first bytes in private memory, the rest where its sender has it. Whoever checks a frame checks the
// private bytes, and they are what receivers get: what a guest writes over its own copy meanwhile changes nothing that was checked.
// A frame is filled again and again; nothing is allocated by filling.

import { createGuestTransferKernel } from '@guestyard/guestmem'
import type { GuestMemory, TransferKernel } from '@guestyard/guestmem'

/** Bytes of a frame's head that are private once somebody reads headers: Ethernet, tag, IPv6 with some extension headers, TCP with options. */
export const FRAME_HEADER_BYTES = 192
/** Bytes that are private from the start: addresses, type and tag, and with them the whole of the smallest frames. */
const FIRST_BYTES = 64
/** Largest frame, tag left out: what LSO hands over. */
export const FRAME_MAX_BYTES = 65_550
/** Smallest: addresses and type. */
export const FRAME_MIN_BYTES = 14
/** `tag` of a frame that has none. */
export const NO_TAG = -1
const ETHERTYPE_VLAN = 0x8100
const TYPE_AT = 12
const TAG_BYTES = 4
/** Pieces of a frame of the largest size, one a page, and the parts that RNDIS splits it into. */
const PIECES = 64

export class Frame {
  /** The head, private. */
  readonly header: Uint8Array<ArrayBuffer>
  readonly view: DataView<ArrayBuffer>
  readonly #words: Int32Array<ArrayBuffer>
  /** Bytes of the frame in `header`: all of them while `memory` is null. */
  headerBytes = 0
  /** Bytes of the frame, the tag left out. */
  lengthBytes = 0
  /** Where the rest lies. */
  memory: GuestMemory | null = null
  pieceCount = 0
  /** GPAs and lengths of the pieces behind the head. */
  readonly addresses: Uint32Array<ArrayBuffer>
  readonly lengths: Uint32Array<ArrayBuffer>
  /** IEEE 802.1Q tag control information, or NO_TAG. It is never among the bytes. */
  tag = NO_TAG
  /** Checksums that are known to be right: ReceiveChecksum bits. */
  checked = 0
  // Where `copyNext` is.
  #offset = 0
  #piece = 0
  #inPiece = 0

  /** `headerRoomBytes`: more than FRAME_HEADER_BYTES for senders without a guest's memory, whose frames are all head. */
  constructor(headerRoomBytes: number = FRAME_HEADER_BYTES) {
    const buffer = new ArrayBuffer((headerRoomBytes + 3) & -4)
    this.header = new Uint8Array(buffer, 0, headerRoomBytes)
    this.view = new DataView(buffer, 0, headerRoomBytes)
    this.#words = new Int32Array(buffer)
    this.addresses = new Uint32Array(PIECES)
    this.lengths = new Uint32Array(PIECES)
  }

  /** Starts anew, without bytes. */
  clear(memory: GuestMemory | null): void {
    this.headerBytes = 0
    this.lengthBytes = 0
    this.memory = memory
    this.pieceCount = 0
    this.tag = NO_TAG
    this.checked = 0
  }

  /**
   * Adds bytes of the sender's memory, which the caller has checked to be there: to the head while that has room, else as a piece. False when
   * there are too many pieces.
   */
  addGuest(memory: GuestMemory, gpa: number, lengthBytes: number): boolean {
    let from = gpa
    let left = lengthBytes
    const room = FIRST_BYTES - this.headerBytes
    if (this.pieceCount === 0 && room > 0) {
      const taken = left < room ? left : room
      this.#addHead(memory, from, taken)
      from += taken
      left -= taken
    }
    this.lengthBytes += lengthBytes
    return left === 0 || this.addPiece(from, left)
  }

  /** Adds a piece of `memory` behind what there is; `lengthBytes` of the frame do not count it yet. */
  addPiece(gpa: number, lengthBytes: number): boolean {
    const last = this.pieceCount - 1
    const lastEnd = last < 0 ? -1 : this.addresses[last]! + this.lengths[last]!
    if (gpa === lastEnd) {
      this.lengths[last] = this.lengths[last]! + lengthBytes
      return true
    }
    if (this.pieceCount === PIECES) return false
    this.addresses[this.pieceCount] = gpa
    this.lengths[this.pieceCount] = lengthBytes
    this.pieceCount += 1
    return true
  }

  /** Makes as much of the head private as anybody reads of it: to be called before headers behind the first are read. */
  deepen(): void {
    const { memory } = this
    if (memory === null) return
    let gone = 0
    while (gone < this.pieceCount && this.headerBytes < FRAME_HEADER_BYTES) {
      const room = FRAME_HEADER_BYTES - this.headerBytes
      const length = this.lengths[gone]!
      const from = this.addresses[gone]!
      const taken = length < room ? length : room
      this.#addHead(memory, from, taken)
      this.addresses[gone] = from + taken
      this.lengths[gone] = length - taken
      if (taken === length) gone += 1
    }
    if (gone === 0) return
    this.pieceCount -= gone
    this.addresses.copyWithin(0, gone, gone + this.pieceCount)
    this.lengths.copyWithin(0, gone, gone + this.pieceCount)
  }

  #addHead(memory: GuestMemory, from: number, lengthBytes: number): void {
    const { u8, i32 } = memory
    const { header } = this
    const words = this.#words
    const at = this.headerBytes
    // By words where both are aligned, as they are for Linux and for our own driver: a third of the time of bytes.
    const inWords = ((from | at) & 3) === 0 ? lengthBytes & -4 : 0
    for (let done = 0; done < inWords; done += 4) {
      words[(at + done) >> 2] = i32[(from + done) >>> 2]!
    }
    for (let done = inWords; done < lengthBytes; done += 1) header[at + done] = u8[from + done]!
    this.headerBytes = at + lengthBytes
  }

  /** Makes it a frame of private bytes alone, copied. Throws a RangeError for more than its head has room for. */
  setBytes(bytes: Uint8Array): void {
    this.clear(null)
    this.header.set(bytes)
    this.headerBytes = bytes.length
    this.lengthBytes = bytes.length
  }

  /** A tag among the first bytes becomes `tag`, unless there is one. */
  takeTag(): void {
    if (this.tag !== NO_TAG || this.headerBytes < FRAME_MIN_BYTES + TAG_BYTES) return
    if (this.view.getUint16(TYPE_AT) !== ETHERTYPE_VLAN) return
    this.tag = this.view.getUint16(TYPE_AT + 2)
    this.header.copyWithin(TYPE_AT, TYPE_AT + TAG_BYTES, this.headerBytes)
    this.headerBytes -= TAG_BYTES
    this.lengthBytes -= TAG_BYTES
  }

  /** Before the first `copyNext`. */
  rewind(): void {
    this.#offset = 0
    this.#piece = 0
    this.#inPiece = 0
  }

  /** Copies the next `lengthBytes` of the frame to `gpa` of a guest's memory; both were checked. `copies` knows how. */
  copyNext(to: GuestMemory, copies: GuestCopies, gpa: number, lengthBytes: number): void {
    let at = gpa
    let left = lengthBytes
    const ahead = this.headerBytes - this.#offset
    if (ahead > 0) {
      const taken = ahead < left ? ahead : left
      const { header } = this
      const words = this.#words
      const { u8, i32 } = to
      const from = this.#offset
      const inWords = ((from | at) & 3) === 0 ? taken & -4 : 0
      for (let done = 0; done < inWords; done += 4) {
        i32[(at + done) >>> 2] = words[(from + done) >> 2]!
      }
      for (let done = inWords; done < taken; done += 1) u8[at + done] = header[from + done]!
      this.#offset += taken
      at += taken
      left -= taken
    }
    if (left === 0 || this.memory === null) return
    const copy = copies.from(this.memory)
    while (left > 0 && this.#piece < this.pieceCount) {
      const inPiece = this.lengths[this.#piece]! - this.#inPiece
      const taken = inPiece < left ? inPiece : left
      copy(at, this.addresses[this.#piece]! + this.#inPiece, taken)
      at += taken
      left -= taken
      this.#inPiece += taken
      if (this.#inPiece === this.lengths[this.#piece]!) {
        this.#piece += 1
        this.#inPiece = 0
      }
    }
  }

  /** All bytes, as many as `to` has room for, the tag left out. How many. For captures and hosts: allocates. */
  copyBytes(to: Uint8Array): number {
    const head = Math.min(this.headerBytes, to.length)
    to.set(this.header.subarray(0, head))
    let at = head
    for (let piece = 0; piece < this.pieceCount && at < to.length; piece += 1) {
      const length = Math.min(this.lengths[piece]!, to.length - at)
      this.memory?.read(this.addresses[piece]!, to, at, length)
      at += length
    }
    return at
  }
}

/** How bytes come from any guest's RAM into that of one. One a receiver; on its thread. */
export class GuestCopies {
  readonly #to: GuestMemory
  readonly #known: WeakMap<GuestMemory, TransferKernel> = new WeakMap()
  #last: GuestMemory | null = null
  #copy: TransferKernel | null = null

  constructor(to: GuestMemory) {
    this.#to = to
  }

  from(memory: GuestMemory): TransferKernel {
    if (memory === this.#last && this.#copy !== null) return this.#copy
    let copy = this.#known.get(memory)
    if (copy === undefined) {
      copy = createGuestTransferKernel(this.#to, memory)
      this.#known.set(memory, copy)
    }
    this.#last = memory
    this.#copy = copy
    return copy
  }
}
