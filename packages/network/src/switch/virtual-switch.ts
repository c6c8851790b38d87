// HOT
// An Ethernet switch: ports, what was learned, and the way of a frame. A frame is delivered within the call that sends it, straight from
// its sender's memory into each receiver's: nothing is queued, so that nobody can fill the switch. A frame's work is bounded by the
// number of ports, and is told to whoever sends, to be charged for.
//
//   send ─▶ link, length ─▶ source address ─▶ VLAN ─▶ guards ─▶ taps, mirrors ─▶ learn ─▶ one port, or all of the VLAN

import { assert } from '@guestyard/hvdef'
import { FRAME_MAX_BYTES, FRAME_MIN_BYTES, NO_TAG } from '../frame.ts'
import type { Frame } from '../frame.ts'
import { FrameHeaders } from '../headers.ts'
import { isGroup } from '../mac-address.ts'
import { Capacity, FloodAllowance, Meter, Share } from './bandwidth.ts'
import { DropReason } from './drop-reason.ts'
import { dhcpGuard, routerGuard } from './guards.ts'
import { MacTable } from './mac-table.ts'
import { NO_VLAN, PortRules } from './port-settings.ts'
import type { PortSettings } from './port-settings.ts'
import { SwitchPort, dropCounts } from './switch-port.ts'
import type { PortEnd, PortInspection, PortSwitch } from './switch-port.ts'

/** Ports at a time. */
export const SWITCH_PORTS_MAX = 1024
const MAC_LIMIT = 4096
const MAC_LIMIT_PER_PORT = 256
const MAC_AGE_MS = 300_000
const TAG_VLAN_MASK = 0xfff
const TAG_PRIORITY_MASK = 0xf000

export interface SwitchClock {
  /** Milliseconds, never backwards. */
  now(): number
}

export interface SwitchOptions {
  readonly clock: SwitchClock
  /** Any u32, not known to guests. Default 0. */
  readonly hashSeed?: number
  /** Addresses known at a time, a power of two from 8 on. Default 4096. */
  readonly macLimit?: number
  /** Addresses learned of one port. Default 256. */
  readonly macLimitPerPort?: number
  /** How long an address is known that sends nothing. Default five minutes. */
  readonly macAgeMs?: number
  /** Bits a second of all ports together, shared by weight; 0, the default: no limit. */
  readonly capacityBitsPerSecond?: number
  /** Told of each port that is connected, before a frame passes it. */
  readonly onConnect?: (port: SwitchPort) => void
}

export interface SwitchInspection {
  readonly ports: readonly PortInspection[]
  readonly unlearned: number
}

/** One thread. */
export class VirtualSwitch implements PortSwitch {
  readonly #clock: SwitchClock
  readonly #table: MacTable
  readonly #capacity: Capacity
  readonly #headers: FrameHeaders = new FrameHeaders()
  /** By id; holes where ports have gone. */
  readonly #slots: (SwitchPort | null)[] = []
  readonly #ports: SwitchPort[] = []
  readonly #onConnect: ((port: SwitchPort) => void) | null
  #mirrors: SwitchPort[] = []

  constructor(options: SwitchOptions) {
    this.#clock = options.clock
    this.#onConnect = options.onConnect ?? null
    this.#table = new MacTable({
      limit: options.macLimit ?? MAC_LIMIT,
      limitPerPort: options.macLimitPerPort ?? MAC_LIMIT_PER_PORT,
      ageMs: options.macAgeMs ?? MAC_AGE_MS,
      hashSeed: options.hashSeed ?? 0,
      ports: SWITCH_PORTS_MAX,
    })
    this.#capacity = new Capacity(options.capacityBitsPerSecond ?? 0, options.clock.now())
  }

  /**
   * Plugs an end into a new port. Throws a RangeError for settings out of range, for an address that another port has, and when there
   * are as many ports as there may be.
   */
  connect(end: PortEnd, settings: PortSettings = {}): SwitchPort {
    const rules = new PortRules(settings)
    const free = this.#slots.indexOf(null)
    const id = free < 0 ? this.#slots.length : free
    if (id >= SWITCH_PORTS_MAX) throw new RangeError(`a switch has ${SWITCH_PORTS_MAX} ports`)
    this.#own(id, rules)
    const port = new SwitchPort(this, id, end, rules)
    this.#slots[id] = port
    this.#ports.push(port)
    this.#capacity.add(port.share)
    this.#findMirrors()
    this.#onConnect?.(port)
    return port
  }

  /** Changes what a port is allowed, from the next frame on. Throws as `connect`; then nothing has changed. */
  configure(port: SwitchPort, settings: PortSettings): void {
    assert(port.isConnected, 'A port that is changed is connected.')
    const rules = new PortRules(settings)
    this.#table.forget(port.id, true)
    try {
      this.#own(port.id, rules)
    } catch (error) {
      this.#own(port.id, port.rules)
      throw error
    }
    port.rules = rules
    port.meter = new Meter(rules.maxBitsPerSecond, this.#clock.now())
    this.#capacity.remove(port.share)
    port.share = new Share(rules.weight)
    port.floods = new FloodAllowance(rules.floodsPerSecond, this.#clock.now())
    this.#capacity.add(port.share)
    this.#findMirrors()
  }

  now(): number {
    return this.#clock.now()
  }

  /** Ports that are connected. */
  get portCount(): number {
    return this.#ports.length
  }

  /** A port's: see `SwitchPort.readyAtMs`. */
  readyAtMs(port: SwitchPort, nowMs: number): number {
    const calm = port.floods.readyAtMs(nowMs)
    if (calm > nowMs) return calm
    const own = port.meter.readyAtMs(nowMs)
    return own > nowMs ? own : this.#capacity.readyAtMs(port.share, nowMs)
  }

  /** A port's: see `SwitchPort.send`. */
  forward(port: SwitchPort, frame: Frame): number {
    const { rules } = port
    const refusal = this.#refuse(port, rules, frame)
    if (refusal !== DropReason.NONE) return drop(port, refusal)
    const vlan = vlanOf(rules, frame.tag)
    if (vlan < 0) return drop(port, DropReason.VLAN)
    const guarded = this.#guard(rules, frame)
    if (guarded !== DropReason.NONE) return drop(port, guarded)
    const nowMs = this.#clock.now()
    const { view } = frame
    const high = view.getUint16(0)
    const isForAll = isGroup(high)
    const sourceHigh = view.getUint16(6)
    if (!this.#table.learn(sourceHigh, view.getUint32(8), vlan, port.id, nowMs)) {
      return drop(port, DropReason.SPOOFED_SOURCE)
    }
    port.sentFrames += 1
    port.sentBytes += frame.lengthBytes
    port.meter.take(frame.lengthBytes)
    this.#capacity.take(port.share, frame.lengthBytes, nowMs)
    port.tap?.frame(frame, frame.tag, false, port.id)
    let work = rules.isMirrorSource ? this.#mirror(port, frame, frame.tag) : 0
    if (isForAll) return work + this.#flood(port, frame, vlan, true)
    const found = this.#table.find(high, view.getUint32(2), vlan, nowMs)
    if (found === port.id) return work + drop(port, DropReason.OWN_PORT)
    const to = found < 0 ? null : this.#slots[found]!
    if (to === null) return work + this.#flood(port, frame, vlan, false)
    work += 1
    this.#deliver(to, frame, vlan)
    return work
  }

  /** A port's. */
  linkChanged(port: SwitchPort): void {
    this.#table.forget(port.id, false)
  }

  /** A port's: see `SwitchPort.disconnect`. */
  disconnect(port: SwitchPort): void {
    if (!port.isConnected) return
    port.isConnected = false
    port.isLinkUp = false
    this.#slots[port.id] = null
    this.#ports.splice(this.#ports.indexOf(port), 1)
    this.#table.forget(port.id, true)
    this.#capacity.remove(port.share)
    this.#findMirrors()
  }

  inspect(): SwitchInspection {
    return {
      ports: this.#ports.map((port) => ({
        id: port.id,
        name: port.rules.name,
        isLinkUp: port.isLinkUp,
        learned: this.#table.countOf(port.id),
        sentFrames: port.sentFrames,
        sentBytes: port.sentBytes,
        receivedFrames: port.receivedFrames,
        receivedBytes: port.receivedBytes,
        sendDrops: dropCounts(port.sendDrops),
        receiveDrops: dropCounts(port.receiveDrops),
      })),
      unlearned: this.#table.unlearned,
    }
  }

  #refuse(port: SwitchPort, rules: PortRules, frame: Frame): number {
    if (!port.isLinkUp) return DropReason.LINK_DOWN
    if (frame.lengthBytes < FRAME_MIN_BYTES) return DropReason.TOO_SHORT
    if (frame.lengthBytes > FRAME_MAX_BYTES) return DropReason.TOO_LONG
    const high = frame.view.getUint16(6)
    if (isGroup(high)) return DropReason.GROUP_SOURCE
    if (rules.macSpoofing) return DropReason.NONE
    const isOwn = high === rules.addressHigh && frame.view.getUint32(8) === rules.addressLow
    return isOwn ? DropReason.NONE : DropReason.SPOOFED_SOURCE
  }

  #guard(rules: PortRules, frame: Frame): number {
    if (!rules.dhcpGuard && !rules.routerGuard) return DropReason.NONE
    const headers = this.#headers
    headers.parse(frame)
    const reason = rules.dhcpGuard ? dhcpGuard(frame, headers) : DropReason.NONE
    if (reason !== DropReason.NONE || !rules.routerGuard) return reason
    return routerGuard(frame, headers)
  }

  // To everybody in the VLAN. A unicast to nobody known goes only to those who may have addresses that nobody knows.
  #flood(from: SwitchPort, frame: Frame, vlan: number, isForAll: boolean): number {
    let work = 0
    from.floods.take(this.#clock.now())
    const ports = this.#ports
    for (let index = 0; index < ports.length; index += 1) {
      const port = ports[index]!
      const { rules } = port
      if (port === from || (!isForAll && !rules.macSpoofing && !rules.isTrunk)) continue
      if (rules.isMirrorDestination || !isInVlan(rules, vlan)) continue
      this.#deliver(port, frame, vlan)
      work += 1
    }
    return work === 0 ? drop(from, DropReason.NO_RECEIVER) : work
  }

  #deliver(port: SwitchPort, frame: Frame, vlan: number): void {
    const { rules } = port
    const { lengthBytes } = frame
    if (!isInVlan(rules, vlan)) return port.count(DropReason.VLAN, lengthBytes)
    if (!port.isLinkUp) return port.count(DropReason.LINK_DOWN, lengthBytes)
    const tag = rules.isTrunk && vlan !== rules.nativeVlan ? tagFor(vlan, frame.tag) : NO_TAG
    port.tap?.frame(frame, tag, true, port.id)
    if (rules.isMirrorSource) this.#mirror(port, frame, tag)
    port.count(port.end.deliver(frame, tag), lengthBytes)
  }

  #mirror(from: SwitchPort, frame: Frame, tag: number): number {
    const mirrors = this.#mirrors
    for (let index = 0; index < mirrors.length; index += 1) {
      const port = mirrors[index]!
      if (port === from || !port.isLinkUp) continue
      port.tap?.frame(frame, tag, true, port.id)
      port.count(port.end.deliver(frame, tag), frame.lengthBytes)
    }
    return mirrors.length
  }

  // An address belongs to its port in the VLAN of frames without tags; elsewhere a trunk's is learned.
  #own(id: number, rules: PortRules): void {
    if (!rules.hasAddress) return
    const { addressHigh, addressLow, nativeVlan } = rules
    if (this.#table.own(addressHigh, addressLow, nativeVlan, id)) return
    throw new RangeError(`${rules.name}: another port has its address, or the table is full`)
  }

  #findMirrors(): void {
    this.#mirrors = this.#ports.filter((port) => port.rules.isMirrorDestination)
  }
}

function drop(port: SwitchPort, reason: number): 0 {
  port.sendDrops[reason] = port.sendDrops[reason]! + 1
  return 0
}

/** VLAN that a frame of the port with this tag belongs to; -1: none that the port is in. */
function vlanOf(rules: PortRules, tag: number): number {
  const id = tag === NO_TAG ? 0 : tag & TAG_VLAN_MASK
  // A tag of VLAN 0 says a priority and no more.
  if (id === 0 || (rules.isTrunk && id === rules.nativeVlan)) return rules.nativeVlan
  return rules.isTrunk && rules.allowed[id] === 1 ? id : -1
}

function isInVlan(rules: PortRules, vlan: number): boolean {
  if (vlan === rules.nativeVlan) return true
  return rules.isTrunk && vlan !== NO_VLAN && rules.allowed[vlan] === 1
}

function tagFor(vlan: number, given: number): number {
  return (given === NO_TAG ? 0 : given & TAG_PRIORITY_MASK) | vlan
}
