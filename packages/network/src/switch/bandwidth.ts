// HOT
// How many bits a second may pass: of one port, and of all together by weight. Whoever may not send now keeps its frame and asks again;
// nothing is queued here. A frame is let through while there is credit, and takes more than there is, so that one of any size passes.

/** Bursts last as long as this at the full rate. */
const BURST_MS = 20
/** And hold at least this, or small rates would send nothing but whole frames now and then. */
const BURST_BYTES_MIN = 3028

/** Credit that grows with time. */
export class Meter {
  readonly #bytesPerMs: number
  readonly #burstBytes: number
  #credit: number
  #sinceMs: number

  /** `bitsPerSecond` 0: no limit. */
  constructor(bitsPerSecond: number, nowMs: number) {
    this.#bytesPerMs = bitsPerSecond / 8000
    this.#burstBytes = Math.max(BURST_BYTES_MIN, this.#bytesPerMs * BURST_MS)
    this.#credit = this.#burstBytes
    this.#sinceMs = nowMs
  }

  get isLimited(): boolean {
    return this.#bytesPerMs > 0
  }

  /** When a frame may pass again: now, or later. */
  readyAtMs(nowMs: number): number {
    if (this.#bytesPerMs === 0) return nowMs
    this.#refill(nowMs)
    return this.#credit > 0 ? nowMs : nowMs + (1 - this.#credit) / this.#bytesPerMs
  }

  take(lengthBytes: number): void {
    if (this.#bytesPerMs > 0) this.#credit -= lengthBytes
  }

  #refill(nowMs: number): void {
    const passed = nowMs - this.#sinceMs
    if (passed <= 0) return
    this.#sinceMs = nowMs
    const credit = this.#credit + passed * this.#bytesPerMs
    this.#credit = credit < this.#burstBytes ? credit : this.#burstBytes
  }
}

/** Bytes that a port of weight 1 may be ahead of one that waits. */
const AHEAD_BYTES = 1514
/** How long a port counts as waiting after it was refused. */
const WAITING_MS = 50
/** What a port sends this soon after it waited was waiting too: frames come to the switch many in a packet. */
const SERVED_MS = 1

/** A port's place in line for the capacity of all. */
export class Share {
  /** Bytes sent by weight: who has sent least, for its weight, is next. */
  virtual = 0
  waitingUntilMs = Number.NEGATIVE_INFINITY
  servedUntilMs = Number.NEGATIVE_INFINITY
  readonly weight: number

  constructor(weight: number) {
    this.weight = weight
  }
}

/** The capacity of a switch, shared by weight among those who want it (start-time fair queueing, with the frames left where they are). */
export class Capacity {
  readonly #meter: Meter
  readonly #shares: Share[] = []
  /** Virtual time of the last frame that passed: who was idle starts here. */
  #now = 0

  constructor(bitsPerSecond: number, nowMs: number) {
    this.#meter = new Meter(bitsPerSecond, nowMs)
  }

  get isLimited(): boolean {
    return this.#meter.isLimited
  }

  add(share: Share): void {
    share.virtual = this.#now
    this.#shares.push(share)
  }

  remove(share: Share): void {
    const index = this.#shares.indexOf(share)
    if (index >= 0) this.#shares.splice(index, 1)
  }

  /** When the port may send: now, or later. One that may not counts as waiting. */
  readyAtMs(share: Share, nowMs: number): number {
    if (!this.#meter.isLimited) return nowMs
    let readyMs = this.#meter.readyAtMs(nowMs)
    if (readyMs <= nowMs && this.#isAhead(share, nowMs)) readyMs = nowMs + 1
    if (readyMs > nowMs) share.waitingUntilMs = nowMs + WAITING_MS
    return readyMs
  }

  /** A frame passes. Who waited goes on from where it was; who was idle saves nothing up. */
  take(share: Share, lengthBytes: number, nowMs: number): void {
    if (!this.#meter.isLimited) return
    this.#meter.take(lengthBytes)
    if (share.waitingUntilMs >= nowMs) share.servedUntilMs = nowMs + SERVED_MS
    const isBehind = share.virtual < this.#now
    const start = isBehind && share.servedUntilMs < nowMs ? this.#now : share.virtual
    if (start > this.#now) this.#now = start
    share.virtual = start + lengthBytes / share.weight
    share.waitingUntilMs = Number.NEGATIVE_INFINITY
  }

  // Somebody who has sent less waits.
  #isAhead(share: Share, nowMs: number): boolean {
    const limit = share.virtual - AHEAD_BYTES / share.weight
    for (let index = 0; index < this.#shares.length; index += 1) {
      const other = this.#shares[index]!
      if (other !== share && other.waitingUntilMs >= nowMs && other.virtual < limit) return true
    }
    return false
  }
}

/** Frames to everybody that a port may send at once, and how many it waits for once it has sent them. */
const FLOODS_AT_ONCE = 512
const FLOODS_WAITED_FOR = 64

/** How often a port may have every other port served for one frame of its own. Whoever is over it waits, as for bandwidth. */
export class FloodAllowance {
  readonly #perMs: number
  #left = FLOODS_AT_ONCE
  #atMs: number
  #isHeld = false

  constructor(perSecond: number, nowMs: number) {
    this.#perMs = perSecond / 1_000
    this.#atMs = nowMs
  }

  /** One was sent. */
  take(nowMs: number): void {
    this.#refill(nowMs)
    this.#left -= 1
    if (this.#left < 1) this.#isHeld = true
  }

  /** When the port may send again: now, or later. */
  readyAtMs(nowMs: number): number {
    if (!this.#isHeld) return nowMs
    this.#refill(nowMs)
    const wanted = FLOODS_WAITED_FOR - this.#left
    if (wanted > 0) return nowMs + wanted / this.#perMs
    this.#isHeld = false
    return nowMs
  }

  #refill(nowMs: number): void {
    const left = this.#left + (nowMs - this.#atMs) * this.#perMs
    this.#left = left < FLOODS_AT_ONCE ? left : FLOODS_AT_ONCE
    this.#atMs = nowMs
  }
}
