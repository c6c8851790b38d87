// Ports and connections, as the root keeps them (TLFS, "Ports and Connections"). A port is where something arrives: an
// object of the root, or a SINT of a partition's VP. A connection is one partition's handle of a port.

import type { ConnectionId, PartitionId, PortId } from '@guestyard/hvdef'

/** Receives a message port's messages. Root's thread, from `Hypervisor.poll`. */
export interface MessageHandler {
  /** Asked before each message. False leaves it in the port's buffers, and the guest meets INSUFFICIENT_BUFFERS. */
  canReceive(): boolean
  /**
   * A message of `length` bytes (0 to 240) in `payload`, a private copy that the next message overwrites.
   * `vp` is the sender as the guest wrote it: a hint, below the partition's VP count.
   */
  receiveMessage(type: number, payload: Uint8Array, length: number, vp: number): void
  /** Units of the poll's budget that the last message took; 1 for every one when left out. */
  readonly messageUnits?: number
}

/** Receives an event port's signals. Root's thread, from `Hypervisor.poll`. */
export interface SignalHandler {
  /** Flag `flag`, counted from the port's first. Signals that came before this call may have been merged into it. */
  receiveSignal(flag: number): void
}

/** A SINT of one VP of the partition that owns the port. */
export interface SintTarget {
  readonly vp: number
  readonly sint: number
}

/** Event ports: the target SINT, and the flag number there of the port's flag 0. */
export interface SintFlagTarget extends SintTarget {
  readonly baseFlag: number
}

interface PortIdentity {
  /** Partition that owns the port. */
  readonly owner: PartitionId
  readonly portId: PortId
  /** The one partition that may connect to it. */
  readonly connectionPartition: PartitionId
}

export interface MessagePortOptions extends PortIdentity {
  readonly target: MessageHandler | SintTarget
}

export interface EventPortOptions extends PortIdentity {
  /** Flags of the port, 1 to 2048. */
  readonly flagCount: number
  readonly target: SignalHandler | SintFlagTarget
}

/** A message port and its sixteen buffers, which lie in the connecting partition's page. */
export interface MessagePort {
  readonly kind: 'message'
  readonly identity: PortIdentity
  handler: MessageHandler
  /** Queue in the connecting partition's page. */
  readonly queue: number
}

export interface EventPort {
  readonly kind: 'event'
  readonly identity: PortIdentity
  handler: SignalHandler
  readonly flagCount: number
}

export type Port = MessagePort | EventPort

/** A partition's handle of a port. */
export interface Connection {
  readonly id: ConnectionId
  /** Null once the port was deleted: calls answer INVALID_PORT_ID until the connection is taken away. */
  port: Port | null
  /** Row in the connection table. */
  readonly row: number
  /** First of the connection's event slots, and how many; 0 slots for a message connection. */
  readonly firstSlot: number
  readonly slotCount: number
}

/** Key of a port among all partitions' ports. */
export function portKey(owner: number, portId: number): string {
  return `${owner}:${portId}`
}

export function isSintTarget(target: object): target is SintTarget {
  return 'sint' in target
}
