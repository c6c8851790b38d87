// The guest's GPADLs. Each ends exactly once: failed, torn down, or gone with its channel.

import { VMBUS_STATUS_SUCCESS, assert } from '@guestyard/hvdef'
import type { ClientChannel } from './client-channel.ts'

/** Where Linux starts counting. */
const FIRST_GPADL_ID = 0xe1e10
const U32_RANGE = 0x1_0000_0000

export type ClientGpadlState = 'creating' | 'created' | 'tearing-down' | 'gone'

/** Memory of the guest that a channel's host may touch, from `created` until `tornDown`. */
export interface ClientGpadl {
  readonly id: number
  readonly channel: ClientChannel
  readonly state: ClientGpadlState
}

/** Told about one GPADL. */
export interface GpadlListener {
  /** The host has mapped it. */
  created(gpadl: ClientGpadl): void
  /** The host refused it, or the channel went first. The memory is the guest's own again. */
  failed(gpadl: ClientGpadl): void
  /** The host touches the memory no more. */
  tornDown(gpadl: ClientGpadl): void
}

interface GpadlRecord {
  readonly id: number
  readonly channel: ClientChannel
  readonly listener: GpadlListener
  state: ClientGpadlState
  teardownWanted: boolean
}

export interface ClientGpadlsServices {
  postTeardown(channel: ClientChannel, gpadlId: number): void
  /** One of the channel's GPADLs has ended, and its listener knows. */
  ended(channel: ClientChannel): void
}

export class ClientGpadls {
  readonly #all = new Map<number, GpadlRecord>()
  readonly #services: ClientGpadlsServices
  #nextId = FIRST_GPADL_ID

  constructor(services: ClientGpadlsServices) {
    this.#services = services
  }

  get size(): number {
    return this.#all.size
  }

  add(channel: ClientChannel, listener: GpadlListener): ClientGpadl {
    const id = this.#takeId()
    const gpadl: GpadlRecord = { id, channel, listener, state: 'creating', teardownWanted: false }
    this.#all.set(id, gpadl)
    return gpadl
  }

  has(channel: ClientChannel): boolean {
    for (const gpadl of this.#all.values()) if (gpadl.channel === channel) return true
    return false
  }

  /** GPADL_CREATED. False when nothing waits for it. */
  created(relid: number, id: number, status: number): boolean {
    const gpadl = this.#all.get(id)
    if (gpadl?.state !== 'creating' || gpadl.channel.relid !== relid) return false
    if (status !== VMBUS_STATUS_SUCCESS) {
      this.#end(gpadl, 'failed')
      return true
    }
    gpadl.state = 'created'
    gpadl.listener.created(gpadl)
    if (gpadl.teardownWanted) this.teardown(gpadl)
    return true
  }

  /** GPADL_TORNDOWN. False when nothing waits for it. */
  tornDown(id: number): boolean {
    const gpadl = this.#all.get(id)
    if (gpadl === undefined || gpadl.state !== 'tearing-down') return false
    this.#end(gpadl, 'tornDown')
    return true
  }

  /** Asks the host to let go. One that is still being created is torn down when it is created. */
  teardown(gpadl: ClientGpadl): void {
    const record = this.#all.get(gpadl.id)
    if (record === undefined || record !== gpadl) return
    if (record.state === 'creating') record.teardownWanted = true
    if (record.state !== 'created') return
    record.state = 'tearing-down'
    this.#services.postTeardown(record.channel, record.id)
  }

  /** The channel closes: all its GPADLs are torn down. */
  teardownAll(channel: ClientChannel): void {
    for (const gpadl of this.#all.values()) if (gpadl.channel === channel) this.teardown(gpadl)
  }

  /** The channel is rescinded, or a message was lost: its GPADLs are gone without an answer. */
  abandon(channel: ClientChannel): void {
    for (const gpadl of this.#all.values()) {
      if (gpadl.channel !== channel) continue
      this.#end(gpadl, gpadl.state === 'creating' ? 'failed' : 'tornDown')
    }
  }

  #end(gpadl: GpadlRecord, how: 'failed' | 'tornDown'): void {
    gpadl.state = 'gone'
    this.#all.delete(gpadl.id)
    gpadl.listener[how](gpadl)
    this.#services.ended(gpadl.channel)
  }

  #takeId(): number {
    assert(this.#all.size < U32_RANGE, 'There is a free GPADL id.')
    while (this.#all.has(this.#nextId)) this.#nextId = (this.#nextId + 1) % U32_RANGE
    const id = this.#nextId
    this.#nextId = (id + 1) % U32_RANGE
    return id
  }
}
