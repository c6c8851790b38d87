// HOT
// One port of a switch: what its owner sends through, and what the switch knows and counts of it.

import type { Frame } from '../frame.ts'
import { FloodAllowance, Meter, Share } from './bandwidth.ts'
import { DROP_REASONS, DropReason } from './drop-reason.ts'
import type { PortRules } from './port-settings.ts'

/** Whoever is plugged into a port. */
export interface PortEnd {
  /**
   * Takes a frame, or says why not (DropReason; NONE: taken). The frame is good during the call only. `tag`: the tag that goes with it, or
   * NO_TAG. Called within another port's `send`; sends nothing itself.
   */
  deliver(frame: Frame, tag: number): number
}

/** Sees every frame that passes a port. Cold: it may allocate. */
export interface FrameTap {
  /** `isOutgoing`: from the switch to the port's end. */
  frame(frame: Frame, tag: number, isOutgoing: boolean, portId: number): void
}

/** What a port asks of its switch. */
export interface PortSwitch {
  now(): number
  forward(port: SwitchPort, frame: Frame): number
  readyAtMs(port: SwitchPort, nowMs: number): number
  disconnect(port: SwitchPort): void
  linkChanged(port: SwitchPort): void
}

export interface PortInspection {
  readonly id: number
  readonly name: string
  readonly isLinkUp: boolean
  readonly learned: number
  /** From the port's end into the switch. */
  readonly sentFrames: number
  readonly sentBytes: number
  /** From the switch to the port's end. */
  readonly receivedFrames: number
  readonly receivedBytes: number
  /** By DropReason's names, those that are not zero. */
  readonly sendDrops: Readonly<Record<string, number>>
  readonly receiveDrops: Readonly<Record<string, number>>
}

/** Made by `VirtualSwitch.connect`. On the switch's thread. */
export class SwitchPort {
  readonly id: number
  readonly end: PortEnd
  /** Written by the switch alone, as is everything below but `tap`. */
  rules: PortRules
  isConnected = true
  isLinkUp = true
  sentFrames = 0
  sentBytes = 0
  receivedFrames = 0
  receivedBytes = 0
  readonly sendDrops: Float64Array = new Float64Array(DROP_REASONS.length)
  readonly receiveDrops: Float64Array = new Float64Array(DROP_REASONS.length)
  meter: Meter
  share: Share
  floods: FloodAllowance
  /** Whoever looks at what passes, or null. Set by anybody. */
  tap: FrameTap | null = null
  readonly #switch: PortSwitch

  constructor(owner: PortSwitch, id: number, end: PortEnd, rules: PortRules) {
    this.#switch = owner
    this.id = id
    this.end = end
    this.rules = rules
    this.meter = new Meter(rules.maxBitsPerSecond, owner.now())
    this.share = new Share(rules.weight)
    this.floods = new FloodAllowance(rules.floodsPerSecond, owner.now())
  }

  /** The switch's time, in milliseconds. */
  now(): number {
    return this.#switch.now()
  }

  /**
   * When the port may send: `nowMs` or less means at once. Until then its owner keeps its frames, and comes again. To be asked before
   * each `send`.
   */
  readyAtMs(nowMs: number): number {
    return this.#switch.readyAtMs(this, nowMs)
  }

  /** Sends a frame, to all that it is for, before it returns. Deliveries, taken or not: the work it was. 0: it was dropped here. */
  send(frame: Frame): number {
    return this.#switch.forward(this, frame)
  }

  /** Pulls the cable, or plugs it in: what was learned of the port is forgotten. */
  setLink(isUp: boolean): void {
    if (this.isLinkUp === isUp) return
    this.isLinkUp = isUp
    this.#switch.linkChanged(this)
  }

  /** Ends it; a second call does nothing. */
  disconnect(): void {
    this.#switch.disconnect(this)
  }

  /** What was delivered, or why not. */
  count(reason: number, lengthBytes: number): void {
    if (reason === DropReason.NONE) {
      this.receivedFrames += 1
      this.receivedBytes += lengthBytes
    } else {
      this.receiveDrops[reason] = this.receiveDrops[reason]! + 1
    }
  }
}

/** Drops by name. */
export function dropCounts(drops: Float64Array): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const [reason, name] of DROP_REASONS.entries()) {
    const count = drops[reason]!
    if (count > 0) counts[name] = count
  }
  return counts
}
