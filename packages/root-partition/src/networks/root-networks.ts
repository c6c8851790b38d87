// HOT (poll)
// The root's switches, by name, and the adapters that are plugged into them. A switch is there while an adapter is, or from the moment it was
// defined with settings.

import { VirtualSwitch, type SwitchInspection, type SwitchPort } from '@guestyard/network'
import { RootAdapter, VmDirectory } from '@guestyard/network/uplinks'
import type { VmbusServer } from '@guestyard/vmbus/server'

import { SwitchCapture, type CaptureOutput, type DefinedSwitch } from './defined-switch.ts'
import type { OpenUplink } from './open-uplink.ts'
import { openServices, secretOf } from './open-services.ts'
import { PartitionNics } from './partition-nics.ts'
import type { ManagementOSSpec, SwitchSpec } from './switch-spec.ts'

export interface RootNetworksOptions {
  readonly clock: { readonly nowMs: number }
  /** Any u32 that guests do not know. */
  readonly hashSeed: number
  /** Opens uplinks; without it a switch with one is refused. */
  readonly openUplink: OpenUplink | null
  /** Makes a capture's file; without it a switch with one is refused. */
  readonly openCapture: ((path: string) => CaptureOutput) | null
  /** Something came from outside: the root must poll. */
  readonly onWork: () => void
  /** Microseconds since 1970, for captures. */
  readonly unixUs: () => number
  /** The trace record that is at work, 0 for none. */
  readonly traceId: () => number
}

/** A switch in `inspect`. */
export interface NamedSwitchInspection extends SwitchInspection {
  readonly name: string
  /** What lies beyond it; null: nothing. */
  readonly uplink: Readonly<Record<string, unknown>> | null
  /** The root's own adapter; null: it has none here. */
  readonly managementOS: Readonly<Record<string, unknown>> | null
  /** Why its capture takes no more; null: it does, or there is none. */
  readonly captureFailure: string | null
}

/** Switches with settings at most. */
const DEFINED_MAX = 64
/** Addresses of uplinks, and of the root's own adapters, but for the switch's number: far above those of partitions. */
const UPLINK_PREFIX = '00:15:5d:ff:00'
const ROOT_PREFIX = '00:15:5d:ff:01'

/** Adapters that wait are looked at so often while the root is busy with other things. */
const LOOK_MS = 0.25

/** Root thread only. */
export class RootNetworks {
  readonly #options: RootNetworksOptions
  readonly #switches: Map<string, VirtualSwitch> = new Map()
  readonly #defined: Map<string, DefinedSwitch> = new Map()
  readonly #partitions: PartitionNics[] = []
  /** When adapters are looked at next. */
  #lookMs = 0

  constructor(options: RootNetworksOptions) {
    this.#options = options
  }

  /** Makes a switch with settings. Why it can't, in one line; null when it is there. */
  define(spec: SwitchSpec): string | null {
    const { name } = spec
    if (this.#switches.has(name)) return `there is a switch "${name}" already`
    if (this.#defined.size >= DEFINED_MAX) return `at most ${DEFINED_MAX} switches with settings`
    try {
      this.#define(spec)
      return null
    } catch (error) {
      // What is out of range, and what the host says of a file or a socket.
      return error instanceof Error ? error.message : String(error)
    }
  }

  /** Uplinks let go of what they have outside, and captures are written to their end. */
  close(): void {
    for (const { uplink, managementOS, capture } of this.#defined.values()) {
      uplink?.close()
      managementOS?.close()
      capture?.close()
    }
  }

  /** The adapters of a new partition: none yet. */
  add(bus: VmbusServer, partitionId: number, vpCount: number, vmName: string): PartitionNics {
    const switchOf = (name: string): VirtualSwitch => this.#switchOf(name)
    const directoryOf = (name: string): VmDirectory | null =>
      this.#defined.get(name)?.directory ?? null
    const nics = new PartitionNics({ bus, partitionId, vpCount, vmName, switchOf, directoryOf })
    this.#partitions.push(nics)
    return nics
  }

  /** The partition is over, and its channels are closed. */
  remove(nics: PartitionNics): void {
    const at = this.#partitions.indexOf(nics)
    if (at >= 0) this.#partitions.splice(at, 1)
    nics.close()
    for (const [name, one] of this.#switches) {
      if (one.portCount === 0 && !this.#defined.has(name)) this.#switches.delete(name)
    }
  }

  /** What is due gets its turn in the poll of its bus. */
  poll(nowMs: number): void {
    for (const { uplink, managementOS, capture } of this.#defined.values()) {
      uplink?.poll(nowMs)
      managementOS?.poll(nowMs)
      capture?.poll(nowMs)
    }
    if (nowMs < this.#lookMs) return
    this.#lookMs = nowMs + LOOK_MS
    for (const nics of this.#partitions) nics.wakeDue(nowMs)
  }

  nextDeadlineMs(): number {
    let dueMs = Number.POSITIVE_INFINITY
    for (const nics of this.#partitions) dueMs = Math.min(dueMs, nics.nextDeadlineMs())
    // Whoever sleeps until then is served when it comes.
    if (dueMs < this.#lookMs) this.#lookMs = dueMs
    for (const { uplink, managementOS } of this.#defined.values()) {
      if (uplink !== null) dueMs = Math.min(dueMs, uplink.nextDeadlineMs())
      if (managementOS !== null) dueMs = Math.min(dueMs, managementOS.nextDeadlineMs())
    }
    return dueMs
  }

  /** The root's own adapter on a switch, for programs of the root; null: it has none there. */
  rootAdapterOf(name: string): RootAdapter | null {
    return this.#defined.get(name)?.managementOS ?? null
  }

  inspect(): readonly NamedSwitchInspection[] {
    return [...this.#switches].map(([name, one]) => {
      const { uplink = null, managementOS = null, capture = null } = this.#defined.get(name) ?? {}
      return {
        name,
        ...one.inspect(),
        uplink: uplink === null ? null : { kind: uplink.kind, ...uplink.inspect() },
        managementOS: managementOS?.inspect() ?? null,
        captureFailure: capture?.failure ?? null,
      }
    })
  }

  #define(spec: SwitchSpec): void {
    const { name, uplink: wanted, capture: path, capacityBitsPerSecond = 0 } = spec
    const { openUplink, openCapture, clock, onWork, unixUs, traceId } = this.#options
    if (wanted !== undefined && wanted.kind !== 'services' && openUplink === null) {
      throw new RangeError('uplinks are of the real world: the threads engine has them')
    }
    if (path !== undefined && openCapture === null) throw new RangeError('no captures here')
    const number = this.#defined.size.toString(16).padStart(2, '0')
    const mac = `${UPLINK_PREFIX}:${number}`
    const time = { now: () => clock.nowMs }
    const directory = new VmDirectory()
    const world = { clock: time, directory, onWork }
    const rootMac = `${ROOT_PREFIX}:${number}`
    const root =
      spec.managementOS === undefined ? null : rootAdapter(spec.managementOS, rootMac, world)
    const uplink =
      wanted === undefined
        ? null
        : wanted.kind === 'services'
          ? openServices(wanted, mac, world)
          : openUplink!(wanted, mac, world)
    let capture: SwitchCapture | null = null
    try {
      if (path !== undefined) capture = new SwitchCapture(openCapture!(path), unixUs, traceId)
    } catch (error) {
      uplink?.close()
      throw error
    }
    // What comes from an uplink or goes there passes a guest's port too: once is enough.
    let isCaptured = false
    const made = this.#make(capacityBitsPerSecond, (port) => {
      if (isCaptured) capture?.add(port)
    })
    if (uplink !== null) {
      // These are one station; what is behind the others may be many.
      const isStation = uplink.kind === 'nat' || uplink.kind === 'services'
      const port = made.connect(uplink, { name: uplink.kind, ...(isStation && { address: mac }) })
      uplink.attach(port, onWork)
    }
    if (root !== null) {
      const port = made.connect(root, { name: root.kind, address: rootMac })
      root.attach(port, onWork)
    }
    isCaptured = true
    this.#defined.set(name, { switch: made, uplink, managementOS: root, directory, capture })
    this.#switches.set(name, made)
  }

  #switchOf(name: string): VirtualSwitch {
    const known = this.#switches.get(name)
    if (known !== undefined) return known
    const made = this.#make(0, null)
    this.#switches.set(name, made)
    return made
  }

  #make(
    capacityBitsPerSecond: number,
    onConnect: ((port: SwitchPort) => void) | null,
  ): VirtualSwitch {
    const { clock, hashSeed } = this.#options
    const time = { now: () => clock.nowMs }
    const more = onConnect === null ? {} : { onConnect }
    return new VirtualSwitch({ clock: time, hashSeed, capacityBitsPerSecond, ...more })
  }
}

/** Throws a RangeError that says what is wrong. */
function rootAdapter(
  spec: ManagementOSSpec,
  mac: string,
  world: { readonly clock: { now(): number }; readonly directory: VmDirectory },
): RootAdapter {
  try {
    return new RootAdapter({ ...spec, mac, ...world, ...secretOf() })
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new RangeError(`managementOS.${error.message}`, { cause: error })
  }
}
