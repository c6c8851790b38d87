// HOT
// The connection table of a partition: connection id (24 bits) to what a VP needs to post or signal without the
// root. An open-addressed table in the partition page, written by the root, read by every VP of the partition.
//
//   row   key         0 never used | id | 1 << 31 in use | 1 << 30 removed
//         descriptor  1:0 kind | 12:2 queue or first event slot | 24:13 event flags
//
// The root's own truth is its map of connections; nothing here is ever read back by it except keys that it wrote
// while choosing a row, and a wrong key there costs the scribbling guest its own connection.

import { CALL_GENERATION, CONNECTION_ROWS, CONNECTION_TABLE } from './partition-page.ts'

/** Kinds of connection in a descriptor. */
export const CONNECTION_MESSAGE = 1
export const CONNECTION_EVENT = 2
/** The port behind the connection was deleted. */
export const CONNECTION_DEAD = 3

/** Rows of a VP's private copies. A power of two. */
const CACHE_ROWS = 512
/** Rows looked at for one id. */
const PROBES_MAX = 32

const IN_USE = 0x8000_0000 | 0
const REMOVED = 0x4000_0000
const ROW_MASK = CONNECTION_ROWS - 1
const ID_RESERVED = 0xff00_0000
const SLOT_SHIFT = 2
const SLOT_MASK = 0x7ff
const COUNT_SHIFT = 13
const COUNT_MASK = 0xfff

/** Descriptor of a message connection to `queue`. */
export function messageDescriptor(queue: number): number {
  return CONNECTION_MESSAGE | (queue << SLOT_SHIFT)
}

/** Descriptor of an event connection with `flagCount` flags (1 to 2048) in slots from `firstSlot`. */
export function eventDescriptor(firstSlot: number, flagCount: number): number {
  return CONNECTION_EVENT | (firstSlot << SLOT_SHIFT) | (flagCount << COUNT_SHIFT)
}

export function descriptorKind(descriptor: number): number {
  return descriptor & 3
}

/** Queue of a message connection, first slot of an event connection. At most 2047, whatever was scribbled. */
export function descriptorSlot(descriptor: number): number {
  return (descriptor >>> SLOT_SHIFT) & SLOT_MASK
}

export function descriptorFlagCount(descriptor: number): number {
  return (descriptor >>> COUNT_SHIFT) & COUNT_MASK
}

/** The descriptor of a connection, or 0 when there is none. Any thread; any number may be asked for. */
export function lookUpConnection(page: Int32Array, id: number): number {
  if ((id & ID_RESERVED) !== 0) return 0
  const wanted = IN_USE | id
  let row = home(id)
  for (let probe = 0; probe < PROBES_MAX; probe++) {
    const at = CONNECTION_TABLE + row * 2
    const key = Atomics.load(page, at)
    if (key === wanted) {
      // ORDER: the root stores a descriptor before the key that claims it, and takes the key away before it
      // changes one. A key that is the same on both sides of the descriptor's load therefore vouches for it.
      const descriptor = Atomics.load(page, at + 1)
      return Atomics.load(page, at) === wanted ? descriptor : 0
    }
    if (key === 0) return 0
    row = (row + 1) & ROW_MASK
  }
  return 0
}

/**
 * A VP's private copies of the descriptors it used, good for one generation of the page: an access to shared memory costs more
 * than the rest of a signal. VP's thread.
 */
export class ConnectionCache {
  readonly #page: Int32Array
  readonly #keys: Int32Array = new Int32Array(CACHE_ROWS)
  readonly #descriptors: Int32Array = new Int32Array(CACHE_ROWS)

  constructor(page: Int32Array) {
    this.#page = page
  }

  /** The descriptor of a connection, or 0. Any number may be asked for. */
  lookUp(id: number): number {
    const row = id & (CACHE_ROWS - 1)
    if (this.#keys[row] === (IN_USE | id) && (id & ID_RESERVED) === 0) {
      return this.#descriptors[row]!
    }
    const descriptor = lookUpConnection(this.#page, id)
    if (descriptor !== 0) {
      this.#keys[row] = IN_USE | id
      this.#descriptors[row] = descriptor
    }
    return descriptor
  }

  /** Forgets everything: the generation changed. */
  clear(): void {
    this.#keys.fill(0)
  }
}

/** The root's end of a table. `insert` says where a row is; the caller keeps that to remove or change it. */
export class ConnectionTable {
  readonly #page: Int32Array
  /** Keys as the root wrote them, so that a scribbled table does not mislead it. */
  readonly #keys: Int32Array = new Int32Array(CONNECTION_ROWS)

  constructor(page: Int32Array) {
    this.#page = page
  }

  /** Adds a connection that is not there yet. The row, or -1 when its neighbourhood is full. */
  insert(id: number, descriptor: number): number {
    let row = home(id)
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      if (this.#keys[row]! >= 0) {
        const at = CONNECTION_TABLE + row * 2
        // ORDER: descriptor, then key. A VP that finds the key finds this descriptor.
        Atomics.store(this.#page, at + 1, descriptor)
        this.#setKey(row, IN_USE | id)
        this.#changed()
        return row
      }
      row = (row + 1) & ROW_MASK
    }
    return -1
  }

  /** Replaces the descriptor of a row in use: what follows is answered by the new one. */
  replace(row: number, descriptor: number): void {
    Atomics.store(this.#page, CONNECTION_TABLE + row * 2 + 1, descriptor)
    this.#changed()
  }

  /** Removes a row. A row behind it stays reachable: the key becomes "removed", not "never used". */
  remove(row: number): void {
    const next = this.#keys[(row + 1) & ROW_MASK]!
    this.#setKey(row, next === 0 ? 0 : REMOVED)
    this.#changed()
  }

  #changed(): void {
    // ORDER: after the change. A VP that sees the new generation looks at the table afresh and finds the change.
    Atomics.add(this.#page, CALL_GENERATION, 1)
  }

  #setKey(row: number, key: number): void {
    this.#keys[row] = key
    Atomics.store(this.#page, CONNECTION_TABLE + row * 2, key)
  }
}

/** Ids as hosts choose them (channel | sint << 12 | vtl << 16) get rows of their own. */
function home(id: number): number {
  return (id ^ (id >>> 12)) & ROW_MASK
}
