// HOT
// Which port an address was last seen at, for each VLAN: buckets of eight places in typed arrays. A lookup looks at eight places, an
// insertion too; where all are taken by fresh entries nothing is learned, and the frames flood. Nothing grows.

import { assert } from '@guestyard/hvdef'

const WAYS = 8
const NOBODY = -1
/** Places that are looked at for entries too old when a port knows as many addresses as it may. */
const SWEEP_PLACES = 64
/** `seenMs` of an entry that does not age: the address of a port. */
const FOR_GOOD = Number.POSITIVE_INFINITY

export interface MacTableOptions {
  /** Addresses known at a time, a power of two from 8 on. */
  readonly limit: number
  /** Addresses learned of one port. */
  readonly limitPerPort: number
  /** How long an address is known that sends nothing. */
  readonly ageMs: number
  /** Any u32: who does not know it cannot aim at a bucket. */
  readonly hashSeed: number
  /** Ports, numbered from 0. */
  readonly ports: number
}

export class MacTable {
  /** Addresses that were not learned for want of a place. */
  unlearned = 0
  readonly #bucketMask: number
  readonly #limitPerPort: number
  readonly #ageMs: number
  readonly #seed: number
  readonly #high: Uint16Array
  readonly #low: Uint32Array
  readonly #vlans: Uint16Array
  readonly #ports: Int32Array
  readonly #seenMs: Float64Array
  readonly #counts: Uint32Array
  #hand = 0

  constructor(options: MacTableOptions) {
    const { limit } = options
    assert(limit >= WAYS && (limit & (limit - 1)) === 0, 'A table has a power of two of places.')
    this.#bucketMask = limit / WAYS - 1
    this.#limitPerPort = options.limitPerPort
    this.#ageMs = options.ageMs
    this.#seed = options.hashSeed | 0
    this.#high = new Uint16Array(limit)
    this.#low = new Uint32Array(limit)
    this.#vlans = new Uint16Array(limit)
    this.#ports = new Int32Array(limit).fill(NOBODY)
    this.#seenMs = new Float64Array(limit)
    this.#counts = new Uint32Array(options.ports)
  }

  /** Port of an address (16 and 32 bits) in a VLAN, or -1. */
  find(high: number, low: number, vlan: number, nowMs: number): number {
    const place = this.#place(high, low, vlan)
    return place < 0 || this.#isOld(place, nowMs) ? NOBODY : this.#ports[place]!
  }

  /** An address was seen at a port. False when another port owns it. */
  learn(high: number, low: number, vlan: number, port: number, nowMs: number): boolean {
    const known = this.#place(high, low, vlan)
    if (known >= 0) {
      if (this.#seenMs[known] === FOR_GOOD) return this.#ports[known] === port
      if (this.#ports[known] !== port) {
        if (this.#counts[port]! >= this.#limitPerPort) {
          this.unlearned += 1
          return true
        }
        this.#counts[this.#ports[known]!]! -= 1
        this.#counts[port]! += 1
        this.#ports[known] = port
      }
      this.#seenMs[known] = nowMs
      return true
    }
    if (this.#counts[port]! >= this.#limitPerPort) this.#sweep(nowMs)
    const hasPlace = this.#counts[port]! < this.#limitPerPort
    const free = hasPlace ? this.#freePlace(high, low, vlan, nowMs) : -1
    if (free < 0) {
      this.unlearned += 1
      return true
    }
    this.#set(free, high, low, vlan, port, nowMs)
    this.#counts[port]! += 1
    return true
  }

  /** An address belongs to a port for as long as `forget` is not called. False when there is no place for it, or it is another's. */
  own(high: number, low: number, vlan: number, port: number): boolean {
    const known = this.#place(high, low, vlan)
    if (known >= 0) {
      if (this.#seenMs[known] === FOR_GOOD) return this.#ports[known] === port
      this.#counts[this.#ports[known]!]! -= 1
      this.#set(known, high, low, vlan, port, FOR_GOOD)
      return true
    }
    // Whatever was learned makes room.
    const free = this.#freePlace(high, low, vlan, Number.POSITIVE_INFINITY)
    if (free < 0) return false
    this.#set(free, high, low, vlan, port, FOR_GOOD)
    return true
  }

  /** The port is gone, or its link: nothing is known of it any more, what it owns included when `isForGood`. */
  forget(port: number, isForGood: boolean): void {
    for (let place = 0; place < this.#ports.length; place += 1) {
      if (this.#ports[place] !== port) continue
      if (this.#seenMs[place] === FOR_GOOD && !isForGood) continue
      this.#ports[place] = NOBODY
    }
    this.#counts[port] = 0
  }

  /** Addresses learned of a port. */
  countOf(port: number): number {
    return this.#counts[port]!
  }

  #set(place: number, high: number, low: number, vlan: number, port: number, seenMs: number): void {
    this.#high[place] = high
    this.#low[place] = low
    this.#vlans[place] = vlan
    this.#ports[place] = port
    this.#seenMs[place] = seenMs
  }

  #isOld(place: number, nowMs: number): boolean {
    return nowMs - this.#seenMs[place]! > this.#ageMs
  }

  #place(high: number, low: number, vlan: number): number {
    const first = this.#bucket(high, low, vlan)
    for (let place = first; place < first + WAYS; place += 1) {
      if (this.#low[place] !== low || this.#high[place] !== high) continue
      if (this.#vlans[place] === vlan && this.#ports[place] !== NOBODY) return place
    }
    return -1
  }

  // A place without an entry, or with one that is too old by `nowMs`, whose count goes. -1 when there is none.
  #freePlace(high: number, low: number, vlan: number, nowMs: number): number {
    const first = this.#bucket(high, low, vlan)
    for (let place = first; place < first + WAYS; place += 1) {
      const port = this.#ports[place]!
      if (port === NOBODY) return place
      if (this.#seenMs[place] === FOR_GOOD || !this.#isOld(place, nowMs)) continue
      this.#counts[port]! -= 1
      return place
    }
    return -1
  }

  #sweep(nowMs: number): void {
    for (let count = 0; count < SWEEP_PLACES; count += 1) {
      const place = this.#hand
      this.#hand = place + 1 === this.#ports.length ? 0 : place + 1
      const port = this.#ports[place]!
      const isFree = port === NOBODY || this.#seenMs[place] === FOR_GOOD
      if (isFree || !this.#isOld(place, nowMs)) continue
      this.#counts[port]! -= 1
      this.#ports[place] = NOBODY
    }
  }

  #bucket(high: number, low: number, vlan: number): number {
    let mixed =
      Math.imul(low ^ this.#seed, 0x9e37_79b1) ^ Math.imul(high + vlan * 65_537, 0x85eb_ca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2_ae35)
    return ((mixed ^ (mixed >>> 13)) & this.#bucketMask) * WAYS
  }
}
