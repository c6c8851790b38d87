// Who has which address on the link (ARP, RFC 826), and the one packet that waits for each answer (RFC 1122 section 2.3.2.2).

import { MAC_BYTES } from '../addresses.ts'
import { putU16, putU32, u16, u32 } from '../bytes.ts'
import { DropReason, type Drops } from '../drops.ts'
import { ETHERNET_BYTES, EtherType, type Link } from './link.ts'

/** Addresses known or asked for; beyond them the one asked for longest ago is forgotten. */
const NEIGHBOURS_MAX = 256
/** How long an answer is believed before it is asked for again; the old one serves meanwhile. */
const BELIEVED_MS = 60_000
const ASK_AGAIN_MS = 1_000
const ASKED_MAX = 3

const ARP_BYTES = 28
const FRAME_BYTES: number = ETHERNET_BYTES + ARP_BYTES
const REQUEST = 1
const REPLY = 2
/** Offsets in the frame. */
const HARDWARE = ETHERNET_BYTES
const OPERATION: number = ETHERNET_BYTES + 6
const SENDER_MAC: number = ETHERNET_BYTES + 8
const SENDER_IP: number = ETHERNET_BYTES + 14
const TARGET_MAC: number = ETHERNET_BYTES + 18
const TARGET_IP: number = ETHERNET_BYTES + 24
/** Ethernet, IPv4, and the lengths of their addresses. */
const KIND = 0x0001_0800
const LENGTHS = 0x0604

interface Neighbour {
  readonly address: number
  mac: Uint8Array | null
  believedUntilMs: number
  /** Requests since the last answer, and when the next goes out. */
  asked: number
  askAtMs: number
  /** A frame that waits for the address to be known. */
  waiting: Uint8Array | null
}

export class Neighbours {
  readonly #link: Link
  readonly #drops: Drops
  readonly #byAddress: Map<number, Neighbour> = new Map()
  readonly #frame = new Uint8Array(FRAME_BYTES)
  /** Neighbours that were asked and haven't answered. */
  #asking = 0

  constructor(link: Link, drops: Drops) {
    this.#link = link
    this.#drops = drops
  }

  get count(): number {
    return this.#byAddress.size
  }

  /** The station that has an address; null: not known, and asked for. */
  find(address: number, own: number, nowMs: number): Uint8Array | null {
    const known = this.#byAddress.get(address) ?? this.#add(address)
    if (nowMs >= known.believedUntilMs && known.asked === 0) this.#ask(known, own, nowMs)
    return known.mac
  }

  /** Keeps a copy of a frame until the station is known that `find` didn't find: in place of the one that waited. */
  hold(address: number, frame: Uint8Array, bytes: number): void {
    const known = this.#byAddress.get(address)
    if (known === undefined) return this.#drops.count(DropReason.NO_NEIGHBOUR)
    if (known.waiting !== null) this.#drops.count(DropReason.NO_NEIGHBOUR)
    known.waiting = frame.slice(0, bytes)
  }

  /** Tells everybody who has our address now. */
  announce(own: number): void {
    this.#compose(REQUEST, null, own, own)
  }

  /** An ARP packet. `own`: our address, 0 while there is none. */
  receive(frame: Uint8Array, bytes: number, own: number, nowMs: number): void {
    if (bytes < FRAME_BYTES) return this.#drops.count(DropReason.TRUNCATED)
    if (u32(frame, HARDWARE) !== KIND || u16(frame, HARDWARE + 4) !== LENGTHS) {
      return this.#drops.count(DropReason.MALFORMED)
    }
    const from = u32(frame, SENDER_IP)
    const isForUs = own !== 0 && u32(frame, TARGET_IP) === own
    // A group's address is no station's: frames for one host would go to all (RFC 1812 section 3.3.2).
    if ((frame[SENDER_MAC]! & 1) === 1) return this.#drops.count(DropReason.MALFORMED)
    const known = this.#byAddress.get(from) ?? (isForUs && from !== 0 ? this.#add(from) : undefined)
    if (known !== undefined && from !== own) this.#learn(known, frame, nowMs)
    if (isForUs && u16(frame, OPERATION) === REQUEST) {
      this.#compose(REPLY, frame.subarray(SENDER_MAC, SENDER_MAC + MAC_BYTES), own, from)
    }
  }

  /** Asks again, or gives up. */
  poll(own: number, nowMs: number): void {
    if (this.#asking === 0) return
    for (const known of this.#byAddress.values()) {
      if (known.asked === 0 || nowMs < known.askAtMs) continue
      if (known.asked < ASKED_MAX) {
        this.#ask(known, own, nowMs)
        continue
      }
      if (known.waiting !== null) this.#drops.count(DropReason.NO_NEIGHBOUR)
      this.#forget(known)
    }
  }

  nextDeadlineMs(): number {
    let least = Infinity
    if (this.#asking === 0) return least
    for (const { asked, askAtMs } of this.#byAddress.values()) {
      if (asked > 0) least = Math.min(least, askAtMs)
    }
    return least
  }

  #add(address: number): Neighbour {
    if (this.#byAddress.size >= NEIGHBOURS_MAX) {
      const [oldest] = this.#byAddress.values()
      if (oldest!.waiting !== null) this.#drops.count(DropReason.NO_NEIGHBOUR)
      this.#forget(oldest!)
    }
    const known = { address, mac: null, believedUntilMs: -1, asked: 0, askAtMs: 0, waiting: null }
    this.#byAddress.set(address, known)
    return known
  }

  #forget(known: Neighbour): void {
    if (known.asked > 0) this.#asking -= 1
    this.#byAddress.delete(known.address)
  }

  #learn(known: Neighbour, frame: Uint8Array, nowMs: number): void {
    known.mac = frame.slice(SENDER_MAC, SENDER_MAC + MAC_BYTES)
    known.believedUntilMs = nowMs + BELIEVED_MS
    if (known.asked > 0) this.#asking -= 1
    known.asked = 0
    const { waiting } = known
    if (waiting === null) return
    known.waiting = null
    waiting.set(known.mac, 0)
    if (!this.#link.transmit(waiting, waiting.length)) this.#drops.count(DropReason.LINK_FULL)
  }

  #ask(known: Neighbour, own: number, nowMs: number): void {
    if (known.asked === 0) this.#asking += 1
    known.asked += 1
    known.askAtMs = nowMs + ASK_AGAIN_MS
    this.#compose(REQUEST, null, own, known.address)
  }

  /** Sends one; to everybody when no station is named. A lost request is asked again, a lost reply asked for again. */
  #compose(operation: number, to: Uint8Array | null, own: number, target: number): void {
    const frame = this.#frame
    frame.fill(0xff, 0, MAC_BYTES)
    frame.fill(0, TARGET_MAC, TARGET_MAC + MAC_BYTES)
    putU32(frame, HARDWARE, KIND)
    putU16(frame, HARDWARE + 4, LENGTHS)
    putU16(frame, OPERATION, operation)
    if (to !== null) {
      frame.set(to, 0)
      frame.set(to, TARGET_MAC)
    }
    frame.set(this.#link.address, MAC_BYTES)
    putU16(frame, 2 * MAC_BYTES, EtherType.ARP)
    frame.set(this.#link.address, SENDER_MAC)
    putU32(frame, SENDER_IP, own)
    putU32(frame, TARGET_IP, target)
    if (!this.#link.transmit(frame, FRAME_BYTES)) this.#drops.count(DropReason.LINK_FULL)
  }
}
