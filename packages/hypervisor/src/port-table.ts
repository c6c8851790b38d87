// HOT (signalEvent, postMessage)
// Ports and connections of all partitions (TLFS, "Ports and Connections"). A port of the root's is served by a handler that
// the root binds to it, in place of an interrupt routine; one of a child's leads to a SINT of its VP. Root's thread only.

import {
  EVENT_FLAGS_PER_SINT,
  HvStatus,
  SINT_COUNT,
  isConnectionId,
  isPortId,
} from '@guestyard/hvdef'
import type { ConnectionId, PartitionId, PortId } from '@guestyard/hvdef'

import { ROOT_PARTITION_ID } from './partition-table.ts'
import type { PartitionTable } from './partition-table.ts'
import { isSintTarget, portKey } from './port.ts'
import type {
  EventPort,
  EventPortOptions,
  MessageHandler,
  MessagePort,
  MessagePortOptions,
  Port,
  SignalHandler,
  SintFlagTarget,
  SintTarget,
} from './port.ts'

/** Queue of a message port that the root itself connects to: what it posts goes straight to the handler. */
const NO_QUEUE = -1
const PAYLOAD_BYTES = 240

/** What stands at a port of the root's before anything is bound to it: messages wait, signals are lost. */
const NOBODY: MessageHandler & SignalHandler = {
  canReceive: () => false,
  receiveMessage() {},
  receiveSignal() {},
}

export class PortTable {
  readonly #partitions: PartitionTable
  readonly #ports: Map<string, Port> = new Map()
  /** The root's own connections. */
  readonly #connections: Map<number, Port> = new Map()
  readonly #payload: Uint8Array = new Uint8Array(PAYLOAD_BYTES)
  readonly #payloadWords: Int32Array = new Int32Array(this.#payload.buffer)

  constructor(partitions: PartitionTable) {
    this.#partitions = partitions
  }

  get size(): number {
    return this.#ports.size
  }

  /**
   * INVALID_PARTITION_ID, INVALID_PORT_ID (in use, or not 24 bits), INVALID_PARAMETER (the target's VP or SINT), NO_RESOURCES (the
   * connecting partition has as many message ports as it may).
   */
  createMessagePort(options: MessagePortOptions): HvStatus {
    const refused = this.#refusePort(options, options.target)
    if (refused !== HvStatus.SUCCESS) return refused
    const connecting = this.#partitions.get(options.connectionPartition)
    const queue = connecting === undefined ? NO_QUEUE : connecting.buffers.findFree()
    if (connecting !== undefined && queue < 0) return HvStatus.NO_RESOURCES
    const { target } = options
    const handler = isSintTarget(target)
      ? this.#sintMessages(options.owner, options.portId, target)
      : target
    const port: MessagePort = { kind: 'message', identity: options, handler, queue }
    connecting?.buffers.attach(port)
    this.#ports.set(portKey(options.owner, options.portId), port)
    return HvStatus.SUCCESS
  }

  /** As createMessagePort; INVALID_PARAMETER also for the flag count, or flags past the SINT's 2048. */
  createEventPort(options: EventPortOptions): HvStatus {
    const refused = this.#refusePort(options, options.target)
    if (refused !== HvStatus.SUCCESS) return refused
    const { target, flagCount } = options
    const baseFlag = isSintTarget(target) ? target.baseFlag : 0
    if (
      !Number.isInteger(flagCount) ||
      flagCount < 1 ||
      baseFlag < 0 ||
      flagCount > EVENT_FLAGS_PER_SINT - baseFlag
    ) {
      return HvStatus.INVALID_PARAMETER
    }
    const handler = isSintTarget(target) ? this.#sintSignals(options.owner, target) : target
    const port: EventPort = { kind: 'event', identity: options, handler, flagCount }
    this.#ports.set(portKey(options.owner, options.portId), port)
    return HvStatus.SUCCESS
  }

  /** A port of the root's that nothing is bound to yet. Statuses as above. */
  createRootMessagePort(portId: PortId, connectionPartition: PartitionId): HvStatus {
    return this.createMessagePort({
      owner: ROOT_PARTITION_ID,
      portId,
      connectionPartition,
      target: NOBODY,
    })
  }

  createRootEventPort(
    portId: PortId,
    connectionPartition: PartitionId,
    flagCount: number,
  ): HvStatus {
    return this.createEventPort({
      owner: ROOT_PARTITION_ID,
      portId,
      connectionPartition,
      flagCount,
      target: NOBODY,
    })
  }

  /** Has `handler` receive what arrives at a message port of the root's. INVALID_PORT_ID. */
  bindMessages(portId: PortId, handler: MessageHandler): HvStatus {
    const port = this.#ports.get(portKey(ROOT_PARTITION_ID, portId))
    if (port === undefined || port.kind !== 'message') return HvStatus.INVALID_PORT_ID
    port.handler = handler
    return HvStatus.SUCCESS
  }

  /** Has `handler` receive the signals of an event port of the root's. INVALID_PORT_ID. */
  bindSignals(portId: PortId, handler: SignalHandler): HvStatus {
    const port = this.#ports.get(portKey(ROOT_PARTITION_ID, portId))
    if (port === undefined || port.kind !== 'event') return HvStatus.INVALID_PORT_ID
    port.handler = handler
    return HvStatus.SUCCESS
  }

  /** Its connections stay and answer INVALID_PORT_ID. INVALID_PORT_ID when there is none. */
  deletePort(owner: number, portId: number): HvStatus {
    const port = this.#ports.get(portKey(owner, portId))
    if (port === undefined) return HvStatus.INVALID_PORT_ID
    this.#ports.delete(portKey(owner, portId))
    this.#partitions.get(port.identity.connectionPartition)?.connections.portDeleted(port)
    return HvStatus.SUCCESS
  }

  /** All ports that a partition owns or that were made for it. */
  deletePortsOf(partition: number): void {
    for (const { identity } of this.#ports.values()) {
      if (identity.owner !== partition && identity.connectionPartition !== partition) continue
      this.deletePort(identity.owner, identity.portId)
    }
  }

  /**
   * Gives a partition a handle of a port that was created for it. INVALID_PARTITION_ID, INVALID_PORT_ID (none, or not for this
   * partition), INVALID_CONNECTION_ID (in use, or not 24 bits), INVALID_PARAMETER (the port is of another kind than
   * `kind`), NO_RESOURCES (no event slots or table rows left).
   */
  connect(
    partition: number,
    connection: number,
    owner: number,
    portId: number,
    kind: Port['kind'] | null = null,
  ): HvStatus {
    const target = this.#partitions.get(partition)
    if (target === undefined && partition !== ROOT_PARTITION_ID) {
      return HvStatus.INVALID_PARTITION_ID
    }
    const port = this.#ports.get(portKey(owner, portId))
    if (port === undefined || port.identity.connectionPartition !== partition) {
      return HvStatus.INVALID_PORT_ID
    }
    if (kind !== null && kind !== port.kind) return HvStatus.INVALID_PARAMETER
    if (!isConnectionId(connection)) return HvStatus.INVALID_CONNECTION_ID
    if (target !== undefined) return target.connections.connect(connection, port)
    if (this.#connections.has(connection)) return HvStatus.INVALID_CONNECTION_ID
    this.#connections.set(connection, port)
    return HvStatus.SUCCESS
  }

  /** INVALID_PARTITION_ID, INVALID_CONNECTION_ID. */
  disconnect(partition: number, connection: number): HvStatus {
    if (partition === ROOT_PARTITION_ID) {
      return this.#connections.delete(connection)
        ? HvStatus.SUCCESS
        : HvStatus.INVALID_CONNECTION_ID
    }
    const target = this.#partitions.get(partition)
    return (
      target?.connections.disconnect(connection as ConnectionId) ?? HvStatus.INVALID_PARTITION_ID
    )
  }

  /**
   * HvCallPostMessage of the root's. INVALID_CONNECTION_ID, INVALID_PORT_ID (its port was deleted), INSUFFICIENT_BUFFERS. `payload`
   * words from `payloadAt`, `size` bytes (0 to 240).
   */
  postMessage(
    connection: number,
    type: number,
    size: number,
    payload: Int32Array,
    payloadAt: number,
  ): HvStatus {
    const port = this.#connections.get(connection)
    if (port === undefined || port.kind !== 'message') return HvStatus.INVALID_CONNECTION_ID
    if (!this.#isThere(port)) return HvStatus.INVALID_PORT_ID
    if (!port.handler.canReceive()) return HvStatus.INSUFFICIENT_BUFFERS
    const words = (size + 3) >>> 2
    for (let word = 0; word < words; word++) this.#payloadWords[word] = payload[payloadAt + word]!
    port.handler.receiveMessage(type, this.#payload, size, 0)
    return HvStatus.SUCCESS
  }

  /** HvCallSignalEvent of the root's. As postMessage, and INVALID_PARAMETER for a flag that the port does not have. */
  signalEvent(connection: number, flag: number): HvStatus {
    const port = this.#connections.get(connection)
    if (port === undefined || port.kind !== 'event') return HvStatus.INVALID_CONNECTION_ID
    if (!this.#isThere(port)) return HvStatus.INVALID_PORT_ID
    if (flag >= port.flagCount) return HvStatus.INVALID_PARAMETER
    port.handler.receiveSignal(flag)
    return HvStatus.SUCCESS
  }

  /** Plain data: how many ports there are, and the root's own connections. */
  inspect(): { readonly ports: number; readonly rootConnections: readonly number[] } {
    return { ports: this.#ports.size, rootConnections: [...this.#connections.keys()] }
  }

  #isThere(port: Port): boolean {
    return this.#ports.get(portKey(port.identity.owner, port.identity.portId)) === port
  }

  #refusePort(identity: Port['identity'], target: object): HvStatus {
    const { owner, portId, connectionPartition } = identity
    const isKnown = (id: number) => id === ROOT_PARTITION_ID || this.#partitions.get(id)?.alive
    if (!isKnown(connectionPartition) || !isKnown(owner)) return HvStatus.INVALID_PARTITION_ID
    if (!isPortId(portId) || this.#ports.has(portKey(owner, portId))) {
      return HvStatus.INVALID_PORT_ID
    }
    if (!isSintTarget(target)) return HvStatus.SUCCESS
    // What the root owns arrives at handlers.
    const owning = this.#partitions.get(owner)
    if (owning === undefined || owning.vps[target.vp] === undefined) {
      return HvStatus.INVALID_PARAMETER
    }
    return target.sint >= 0 && target.sint < SINT_COUNT
      ? HvStatus.SUCCESS
      : HvStatus.INVALID_PARAMETER
  }

  /** A message port of a child: what arrives goes on to a SINT of one of its VPs. */
  #sintMessages(owner: PartitionId, portId: PortId, target: SintTarget): MessageHandler {
    const vps = this.#partitions.get(owner)!.vps
    return {
      canReceive: () => vps[target.vp]?.hasRoom(target.sint) ?? true,
      receiveMessage(type, payload, length) {
        // A SINT that is masked meanwhile loses the message, as the TLFS has it; so does a VP that was deleted.
        vps[target.vp]?.postMessage(target.sint, type, payload, length, portId)
      },
    }
  }

  #sintSignals(owner: PartitionId, target: SintFlagTarget): SignalHandler {
    const vps = this.#partitions.get(owner)!.vps
    return {
      receiveSignal(flag) {
        vps[target.vp]?.signalEvent(target.sint, target.baseFlag + flag)
      },
    }
  }
}
