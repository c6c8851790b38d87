// A host and a guest in one thread, over one memory: what device packages and the tests here run on. Nothing
// moves except in `pump`, so that a test says what happens when. Messages and signals take the way they take
// over a hypervisor: bounded queues, a connection id for each channel, flags that coalesce.

import { HvStatus, PAGE_SIZE, VMBUS_CHANNELS_MAX } from '@guestyard/hvdef'
import { GuestMemory, Iommu, Slat } from '@guestyard/guestmem'
import { VmbusClient } from './client/index.ts'
import type { ClientTransport, VmbusClientEvent } from './client/index.ts'
import { VmbusServer } from './server/index.ts'
import type {
  ChannelInterrupt,
  ServerTransport,
  VmbusLimits,
  VmbusServerEvent,
} from './server/index.ts'

const DEFAULT_MEMORY_BYTES = 16 * 1024 * 1024
const DEFAULT_MESSAGE_SLOTS = 16
const POLL_BUDGET = 1024
const TURNS_MAX = 1_000_000
/** Any number would do: the guest gets it in the offer and gives it back. */
const CONNECTION_BASE = 0x2000

export interface LoopbackOptions {
  /** Guest memory, a multiple of 64 KiB. Default 16 MiB. */
  readonly memoryBytes?: number
  readonly vpCount?: number
  /** Pages for rings lie apart, in no order. */
  readonly scatter?: boolean
  /** Messages that wait on the way, each way. Default 16. */
  readonly messageSlots?: number
  readonly serverVersions?: readonly number[]
  readonly clientVersions?: readonly number[]
  readonly limits?: Partial<VmbusLimits>
  /** Each message when it is delivered. */
  readonly onMessage?: (message: LoopbackMessage) => void
  readonly onServerEvent?: (event: VmbusServerEvent) => void
  readonly onClientEvent?: (event: VmbusClientEvent) => void
}

export interface LoopbackMessage {
  readonly to: 'host' | 'guest'
  /** VP it was posted to; 0 towards the host. */
  readonly vp: number
  /** Connection it was posted on; 0 towards the guest. */
  readonly connectionId: number
  readonly payload: Uint8Array
}

/** What a test may change while it runs. */
export interface LoopbackSwitches {
  /** The guest leaves its messages in their slots. */
  guestReads: boolean
  /** The host leaves the guest's messages unread. */
  hostReads: boolean
  /** HvStatus of each post of the guest, instead of posting. */
  postStatus: number | undefined
}

export class Loopback {
  readonly memory: GuestMemory
  /** The partition's memory as devices reach it. */
  readonly iommu: Iommu
  readonly server: VmbusServer
  readonly client: VmbusClient
  readonly switches: LoopbackSwitches = {
    guestReads: true,
    hostReads: true,
    postStatus: undefined,
  }
  /** Signals sent and VP of the last one to the guest. */
  readonly signals: { toHost: number; toGuest: number; lastVp: number } = {
    toHost: 0,
    toGuest: 0,
    lastVp: 0,
  }
  /** Time of the client, in milliseconds. Moved by tests. */
  nowMs = 0
  readonly #options: LoopbackOptions
  readonly #toHost: LoopbackMessage[] = []
  readonly #toGuest: LoopbackMessage[] = []
  readonly #hostFlags = new Uint8Array(VMBUS_CHANNELS_MAX + 1)
  readonly #guestFlags = new Uint8Array(VMBUS_CHANNELS_MAX + 1)
  readonly #connected = new Set<number>()
  readonly #freePfns: number[]
  #flagsSet = 0

  constructor(options: LoopbackOptions) {
    this.#options = options
    const sizeBytes = options.memoryBytes ?? DEFAULT_MEMORY_BYTES
    this.memory = GuestMemory.create({ sizeBytes })
    this.iommu = new Iommu(this.memory, Slat.identity(this.memory.pageCount))
    this.#freePfns = freePages(sizeBytes / PAGE_SIZE, options.scatter ?? false)
    this.server = new VmbusServer({
      transport: this.#serverTransport(),
      ...(options.serverVersions && { versions: options.serverVersions }),
      ...(options.limits && { limits: options.limits }),
      ...(options.onServerEvent && { onEvent: options.onServerEvent }),
    })
    this.client = new VmbusClient({
      transport: this.#clientTransport(),
      now: () => this.nowMs,
      ...(options.clientVersions && { versions: options.clientVersions }),
      ...(options.onClientEvent && { onEvent: options.onClientEvent }),
    })
  }

  /** Pages that are free: to see that none is lost. */
  get freePageCount(): number {
    return this.#freePfns.length
  }

  /** Channel ids with a connection. */
  get connectionCount(): number {
    return this.#connected.size
  }

  /** Messages on the way, both ways. */
  get messagesOnTheWay(): number {
    return this.#toHost.length + this.#toGuest.length
  }

  /** Posts a message as the guest would, past the client: for hostile guests. Returns an HvStatus. */
  postRaw(payload: Uint8Array): number {
    return this.#post(
      { to: 'host', vp: 0, connectionId: 0, payload: payload.slice() },
      this.#toHost,
    )
  }

  /** Delivers and polls until both ends and everything between them rest. */
  pump(): void {
    for (let turn = 0; turn < TURNS_MAX; turn += 1) {
      if (this.step() > 0) continue
      const serverFound = this.server.arm()
      const clientFound = this.client.arm() && this.client.nextDeadlineMs <= this.nowMs
      if (!serverFound && !clientFound && !this.#hasDeliveries()) return
    }
    throw new Error(`The loopback does not come to rest within ${TURNS_MAX} turns.`)
  }

  /** One round of deliveries and polls. Returns what was done: 0 when there was nothing. */
  step(): number {
    const messages = this.#deliverToHost() + this.#deliverToGuest()
    const flags = this.#deliverFlags()
    return messages + flags + this.server.poll(POLL_BUDGET) + this.client.poll(POLL_BUDGET)
  }

  /** Moves the client's time forward, then pumps. */
  advance(milliseconds: number): void {
    this.nowMs += milliseconds
    this.pump()
  }

  #hasDeliveries(): boolean {
    const { guestReads, hostReads } = this.switches
    if (this.#flagsSet > 0) return true
    if (guestReads && this.#toGuest.length > 0) return true
    return hostReads && this.#toHost.length > 0 && this.server.acceptsMessages
  }

  #deliverToHost(): number {
    let delivered = 0
    while (this.switches.hostReads) {
      const message = this.#toHost[0]
      if (message === undefined) break
      if (!this.server.receiveMessage(message.payload, message.payload.length)) break
      this.#toHost.shift()
      this.#options.onMessage?.(message)
      delivered += 1
    }
    return delivered
  }

  #deliverToGuest(): number {
    let delivered = 0
    while (this.switches.guestReads) {
      const message = this.#toGuest.shift()
      if (message === undefined) break
      this.#options.onMessage?.(message)
      this.client.receiveMessage(message.payload, message.payload.length)
      delivered += 1
    }
    return delivered
  }

  #deliverFlags(): number {
    if (this.#flagsSet === 0) return 0
    const delivered = this.#flagsSet
    this.#flagsSet = 0
    for (let relid = 1; relid <= VMBUS_CHANNELS_MAX; relid += 1) {
      if (this.#hostFlags[relid] === 1) {
        this.#hostFlags[relid] = 0
        this.server.receiveSignal(relid)
      }
      if (this.#guestFlags[relid] === 1) {
        this.#guestFlags[relid] = 0
        this.client.receiveEvent(relid)
      }
    }
    return delivered
  }

  #serverTransport(): ServerTransport {
    return {
      iommu: this.iommu,
      hasVp: (vp) => vp < (this.#options.vpCount ?? 1),
      postMessage: (vp, payload, length) =>
        this.#post(
          { to: 'guest', vp, connectionId: 0, payload: payload.slice(0, length) },
          this.#toGuest,
        ),
      openInterrupt: (relid, vp) => this.#openInterrupt(relid, vp),
      connectChannel: (relid) => {
        this.#connected.add(relid)
        return CONNECTION_BASE + relid
      },
      disconnectChannel: (relid) => {
        this.#connected.delete(relid)
      },
    }
  }

  #openInterrupt(relid: number, firstVp: number): ChannelInterrupt {
    let vp = firstVp
    return {
      raise: () => {
        if (vp < 0) return HvStatus.OPERATION_DENIED
        this.signals.toGuest += 1
        this.signals.lastVp = vp
        this.#setFlag(this.#guestFlags, relid)
        return HvStatus.SUCCESS
      },
      retarget: (to) => {
        if (to >= (this.#options.vpCount ?? 1)) return HvStatus.INVALID_VP_INDEX
        vp = to
        return HvStatus.SUCCESS
      },
      close: () => {
        vp = -1
      },
    }
  }

  #clientTransport(): ClientTransport {
    return {
      memory: this.memory,
      postMessage: (connectionId, payload, length) => {
        if (this.switches.postStatus !== undefined) return this.switches.postStatus
        const copy = payload.slice(0, length)
        return this.#post({ to: 'host', vp: 0, connectionId, payload: copy }, this.#toHost)
      },
      signalEvent: (connectionId) => {
        const relid = connectionId - CONNECTION_BASE
        if (!this.#connected.has(relid)) return HvStatus.INVALID_CONNECTION_ID
        this.signals.toHost += 1
        this.#setFlag(this.#hostFlags, relid)
        return HvStatus.SUCCESS
      },
      allocatePages: (count) => {
        if (this.#freePfns.length < count) return undefined
        return this.#freePfns.splice(this.#freePfns.length - count, count)
      },
      freePages: (pfns) => {
        for (let index = 0; index < pfns.length; index += 1) this.#freePfns.push(pfns[index] ?? 0)
      },
    }
  }

  #post(message: LoopbackMessage, queue: LoopbackMessage[]): number {
    const slots = this.#options.messageSlots ?? DEFAULT_MESSAGE_SLOTS
    if (queue.length >= slots) return HvStatus.INSUFFICIENT_BUFFERS
    queue.push(message)
    return HvStatus.SUCCESS
  }

  #setFlag(flags: Uint8Array, relid: number): void {
    if (flags[relid] === 1) return
    flags[relid] = 1
    this.#flagsSet += 1
  }
}

/** A server and a client, joined. Nothing is offered and no contact made: the test does both. */
export function createLoopback(options: LoopbackOptions = {}): Loopback {
  return new Loopback(options)
}

// Frame numbers from 1 on. Scattered: even pages first, then odd ones, each downwards.
function freePages(count: number, scatter: boolean): number[] {
  const pfns = Array.from({ length: count - 1 }, (_, index) => index + 1)
  if (!scatter) return pfns
  const odd = pfns.filter((pfn) => pfn % 2 === 1).toReversed()
  const even = pfns.filter((pfn) => pfn % 2 === 0).toReversed()
  return [...odd, ...even]
}
