// HOT
// A partition's connections, as the root keeps them (TLFS, "Ports and Connections"): the table that its VPs look into, and who
// receives what arrives at an event slot. Root's thread only.

import { HvStatus } from '@guestyard/hvdef'
import type { ConnectionId, PartitionId } from '@guestyard/hvdef'
import { TraceKind, TraceLink, traceKey, type Trace } from '@guestyard/trace'

import {
  CONNECTION_DEAD,
  ConnectionTable,
  eventDescriptor,
  messageDescriptor,
} from './connection-table.ts'
import type { PortBuffers } from './port-buffers.ts'
import type { Connection, Port } from './port.ts'
import { EVENT_SLOTS_MAX } from './vp-page.ts'

export class PartitionConnections {
  readonly #partitionId: PartitionId
  readonly #table: ConnectionTable
  readonly #buffers: PortBuffers
  readonly #byId: Map<ConnectionId, Connection> = new Map()
  /** Event connection by slot. */
  readonly #events: (Connection | null)[] = Array.from({ length: EVENT_SLOTS_MAX }, () => null)
  signalsReceived = 0
  /** Flags set for slots without a connection. */
  strayFlags = 0

  /** `page`: the partition page; `buffers`: of the message ports that lead out of it. */
  constructor(partitionId: PartitionId, page: Int32Array, buffers: PortBuffers) {
    this.#partitionId = partitionId
    this.#table = new ConnectionTable(page)
    this.#buffers = buffers
  }

  /** INVALID_CONNECTION_ID when the id is in use, NO_RESOURCES when the table or the event slots are full. */
  connect(id: ConnectionId, port: Port): HvStatus {
    if (this.#byId.has(id)) return HvStatus.INVALID_CONNECTION_ID
    const slotCount = port.kind === 'event' ? port.flagCount : 0
    const firstSlot = this.#findSlots(slotCount)
    if (firstSlot < 0) return HvStatus.NO_RESOURCES
    const descriptor =
      port.kind === 'event' ? eventDescriptor(firstSlot, slotCount) : messageDescriptor(port.queue)
    const row = this.#table.insert(id, descriptor)
    if (row < 0) return HvStatus.NO_RESOURCES
    const connection: Connection = { id, port, row, firstSlot, slotCount }
    this.#byId.set(id, connection)
    for (let slot = firstSlot; slot < firstSlot + slotCount; slot++) this.#events[slot] = connection
    return HvStatus.SUCCESS
  }

  /** INVALID_CONNECTION_ID when there is none. */
  disconnect(id: ConnectionId): HvStatus {
    const connection = this.#byId.get(id)
    if (connection === undefined) return HvStatus.INVALID_CONNECTION_ID
    this.#table.remove(connection.row)
    this.#byId.delete(id)
    this.#events.fill(null, connection.firstSlot, connection.firstSlot + connection.slotCount)
    return HvStatus.SUCCESS
  }

  /** The port is gone: its connections answer INVALID_PORT_ID, and what waited in its buffers is dropped. */
  portDeleted(port: Port): void {
    for (const connection of this.#byId.values()) {
      if (connection.port !== port) continue
      connection.port = null
      this.#table.replace(connection.row, CONNECTION_DEAD)
    }
    if (port.kind === 'message') this.#buffers.detach(port)
  }

  /** Takes all connections away: the partition is being deleted. */
  disconnectAll(): void {
    for (const id of this.#byId.keys()) this.disconnect(id)
  }

  /** Event slot `slot` (0 to 2047) was signalled: a unit of work, whoever's the slot is. HOT. */
  receiveSignal(slot: number, trace: Trace | null): number {
    const connection = this.#events[slot]!
    // Nobody's slot, or its port went while the signal was on its way.
    if (connection === null || connection.port === null || connection.port.kind !== 'event') {
      this.strayFlags++
      return 1
    }
    this.signalsReceived++
    if (trace !== null) {
      const key = traceKey(TraceLink.EVENT_TO_ROOT, this.#partitionId, 0, slot)
      trace.beginWith(key, TraceKind.EVENT_TAKEN, this.#partitionId, slot)
    }
    connection.port.handler.receiveSignal(slot - connection.firstSlot)
    return 1
  }

  /** First of `count` free event slots in a row, or -1. */
  #findSlots(count: number): number {
    let run = 0
    for (let slot = 0; slot < EVENT_SLOTS_MAX && run < count; slot++) {
      run = this.#events[slot] === null ? run + 1 : 0
      if (run === count) return slot - count + 1
    }
    return count === 0 ? 0 : -1
  }

  /** Plain data about each. */
  inspect(): ConnectionInspection[] {
    return [...this.#byId.values()].map(({ id, port }) => ({
      id,
      kind: port === null ? 'dead' : port.kind,
    }))
  }
}

/** What `inspect` answers of each connection. */
export interface ConnectionInspection {
  readonly id: ConnectionId
  /** Dead: its port was deleted, and the connection is not yet taken away. */
  readonly kind: 'message' | 'event' | 'dead'
}
