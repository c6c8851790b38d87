// HOT (poll)
// The root's switches, by name, and the adapters that are plugged into them. A switch is there while an adapter is.

import { VirtualSwitch, type SwitchInspection } from '@guestyard/network'
import type { VmbusServer } from '@guestyard/vmbus/server'

import { PartitionNics } from './partition-nics.ts'

export interface RootNetworksOptions {
  readonly clock: { readonly nowMs: number }
  /** Any u32 that guests do not know. */
  readonly hashSeed: number
}

/** A switch in `inspect`. */
export interface NamedSwitchInspection extends SwitchInspection {
  readonly name: string
}

/** Adapters that wait are looked at so often while the root is busy with other things. */
const LOOK_MS = 0.25

/** Root thread only. */
export class RootNetworks {
  readonly #options: RootNetworksOptions
  readonly #switches: Map<string, VirtualSwitch> = new Map()
  readonly #partitions: PartitionNics[] = []
  /** When adapters are looked at next. */
  #lookMs = 0

  constructor(options: RootNetworksOptions) {
    this.#options = options
  }

  /** The adapters of a new partition: none yet. */
  add(bus: VmbusServer, partitionId: number, vpCount: number): PartitionNics {
    const switchOf = (name: string): VirtualSwitch => this.#switchOf(name)
    const nics = new PartitionNics({ bus, partitionId, vpCount, switchOf })
    this.#partitions.push(nics)
    return nics
  }

  /** The partition is over, and its channels are closed. */
  remove(nics: PartitionNics): void {
    const at = this.#partitions.indexOf(nics)
    if (at >= 0) this.#partitions.splice(at, 1)
    nics.close()
    for (const [name, one] of this.#switches) if (one.portCount === 0) this.#switches.delete(name)
  }

  /** What is due gets its turn in the poll of its bus. */
  poll(nowMs: number): void {
    if (nowMs < this.#lookMs) return
    this.#lookMs = nowMs + LOOK_MS
    for (const nics of this.#partitions) nics.wakeDue(nowMs)
  }

  nextDeadlineMs(): number {
    let dueMs = Number.POSITIVE_INFINITY
    for (const nics of this.#partitions) dueMs = Math.min(dueMs, nics.nextDeadlineMs())
    // Whoever sleeps until then is served when it comes.
    if (dueMs < this.#lookMs) this.#lookMs = dueMs
    return dueMs
  }

  inspect(): readonly NamedSwitchInspection[] {
    return [...this.#switches].map(([name, one]) => ({ name, ...one.inspect() }))
  }

  #switchOf(name: string): VirtualSwitch {
    const known = this.#switches.get(name)
    if (known !== undefined) return known
    const { clock, hashSeed } = this.#options
    const made = new VirtualSwitch({ clock: { now: () => clock.nowMs }, hashSeed })
    this.#switches.set(name, made)
    return made
  }
}
