// A root and its guests in one thread under a hand-cranked clock, watched: every poll of the root goes through here and is
// held to what a poll may do. Nothing waits, nothing runs by itself.

import { Kernel, type Placement } from '@guestyard/child-partition'
import { ManualClock } from '@guestyard/engine'
import { GuestMemory } from '@guestyard/guestmem'
import { VirtualProcessor, type VpHandles } from '@guestyard/hypervisor'
import { LOAD_CLASS_ID } from '@guestyard/load-device/protocol'
import { RootPartition } from '@guestyard/root-partition'
import type { ChannelOffer } from '@guestyard/vmbus/client'
import type { VmbusServerEvent, VmbusServerInspection } from '@guestyard/vmbus/server'

const MIB = 1024 * 1024
/** Units that one poll is asked for. */
export const POLL_BUDGET = 64
/** What a poll may do beyond its budget: one VP's outbox, 2048 flags, 8 queues of 16 messages and a notice. */
const OUTBOX_UNITS_MAX = 2048 + 8 * 16 + 1
/** Polls after which a root whose guests stand still is at rest: a full ring of the smallest packets takes fewer. */
const POLLS_TO_REST_MAX = 2_000
const TURNS_MAX = 20_000

/** A partition before anything runs in it. */
export interface BarePartition {
  readonly partitionId: number
  readonly memory: GuestMemory
  readonly handles: VpHandles
  readonly vp: VirtualProcessor
}

export interface YardGuest extends BarePartition {
  readonly kernel: Kernel
}

export class Yard {
  readonly clock: ManualClock = new ManualClock()
  readonly root: RootPartition
  readonly guests: YardGuest[] = []
  /** Bus events of partitions whose events are wanted; see `listen`. */
  readonly #events: Map<number, VmbusServerEvent[]> = new Map()
  /** Polls of the root, and the most units that one of them did. */
  rootPolls = 0
  unitsMax = 0

  constructor() {
    this.root = new RootPartition({
      clock: this.clock,
      clockOriginMs: 0,
      logicalProcessors: 2,
      openDoorbells: () => ({
        vp: { ring: () => {} },
        vpBuffer: new SharedArrayBuffer(64),
        rootBuffer: new SharedArrayBuffer(64),
      }),
      closeDoorbells: () => {},
      onBusEvent: (partitionId, event) => this.#events.get(partitionId)?.push(event),
    })
  }

  /** A partition with a VP and no kernel: what a guest that writes its own is given. */
  create(name: string, memoryBytes: number = 4 * MIB): BarePartition {
    const created = this.root.createPartition({ name, memoryBytes, vpCount: 1, weight: 100 })
    if (!created.ok) throw new Error(created.reason)
    const { partitionId, memory: wasmMemory, vps } = created.start
    const memory = GuestMemory.attach(wasmMemory)
    const { handles } = vps[0]!
    const vp = new VirtualProcessor(handles, {
      memory,
      wakeRoot: { ring: () => {} },
      clock: this.clock,
    })
    this.#events.set(partitionId, [])
    return { partitionId, memory, handles, vp }
  }

  /** A guest with the kernel of script guests, its bus up. */
  boot(
    name: string,
    placement: Placement = 'contiguous',
    memoryBytes: number = 4 * MIB,
  ): YardGuest {
    const partition = this.create(name, memoryBytes)
    const kernel = new Kernel({
      vp: partition.vp,
      memory: partition.memory,
      placement,
      clock: this.clock,
      onBusEvent: () => {},
      wake: () => {},
    })
    const found = kernel.start()
    if (!found.ok) throw new Error(found.reason)
    const guest = { ...partition, kernel }
    this.guests.push(guest)
    this.until(() => kernel.bus.offers().length === 6, [guest], 'the offers to come')
    return guest
  }

  /** Deletes a partition, whatever state it is in. */
  delete(guest: BarePartition): void {
    void this.root.deletePartition(guest.partitionId)
    this.#events.delete(guest.partitionId)
    const at = this.guests.findIndex((other) => other.partitionId === guest.partitionId)
    if (at >= 0) this.guests.splice(at, 1)
  }

  /** Events of a partition since the last call. */
  takeEvents(guest: BarePartition): VmbusServerEvent[] {
    return this.#events.get(guest.partitionId)?.splice(0) ?? []
  }

  /** One poll of the root, held to its bound. */
  pollRoot(): number {
    const units = this.root.poll(POLL_BUDGET)
    this.rootPolls += 1
    if (units > this.unitsMax) this.unitsMax = units
    if (units > POLL_BUDGET + OUTBOX_UNITS_MAX) {
      throw new Error(`one poll of the root did ${units} units of work`)
    }
    return units
  }

  /** Polls the root until it has nothing to do, as it must when the guests stand still. */
  restRoot(): void {
    for (let poll = 0; poll < POLLS_TO_REST_MAX; poll += 1) {
      if (this.pollRoot() > 0) continue
      const hasWork = this.root.arm()
      this.root.disarm()
      if (!hasWork) return
    }
    throw new Error(
      `the root is not at rest after ${POLLS_TO_REST_MAX} polls with guests that stand still`,
    )
  }

  /** Guests and root take turns until `condition` holds. */
  until(condition: () => boolean, guests: readonly YardGuest[], what: string): void {
    for (let turn = 0; turn < TURNS_MAX; turn += 1) {
      if (condition()) return
      let done = 0
      for (const guest of guests) done += guest.kernel.poll(POLL_BUDGET)
      done += this.pollRoot()
      if (done === 0) this.clock.advanceMs(1)
    }
    throw new Error(`waited in vain for ${what}`)
  }

  /** The bus of a partition as the root sees it. */
  busOf(guest: BarePartition): VmbusServerInspection {
    const found = this.root
      .inspect()
      .partitions.find((partition) => partition.partitionId === guest.partitionId)
    if (found === undefined) throw new Error(`no partition ${guest.partitionId}`)
    return found.vmbus
  }

  /** What one guest holds of the root's: equal before and after whatever gave everything back. */
  holdings(guest: BarePartition): object {
    const bus = this.busOf(guest)
    const hypervisor = this.root.inspect().hypervisor as {
      readonly ports: number
      readonly partitions: readonly {
        readonly id: number
        readonly connections: readonly unknown[]
      }[]
    }
    const own = hypervisor.partitions.find(({ id }) => id === guest.partitionId)
    return {
      ports: hypervisor.ports,
      connections: own?.connections.length ?? 0,
      relids: bus.relidsInUse,
      devices: bus.devicesInUse,
      active: bus.activeChannels,
      queued: bus.queuedMessages,
      gpadls: bus.gpadls,
    }
  }
}

/** The offer of the load device's primary channel. */
export function loadOfferOf(guest: YardGuest): ChannelOffer {
  const offer = guest.kernel.bus
    .offers()
    .find((one) => one.classId === LOAD_CLASS_ID && one.subChannelIndex === 0)
  if (offer === undefined) throw new Error('the load device is not offered')
  return offer
}
