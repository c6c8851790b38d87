// A machine in one thread under a hand-cranked clock: a root, guests' kernels and echoes over their load devices. Nothing here waits; what
// would be a thread is a machine that takes its turn.

import { Kernel } from '@guestyard/child-partition'
import { ManualClock, SingleThread } from '@guestyard/engine'
import { GuestMemory } from '@guestyard/guestmem'
import { VirtualProcessor } from '@guestyard/hypervisor'
import { LOAD_CLASS_ID, type ChannelLoadResult } from '@guestyard/load-device/protocol'
import { LoadRunner } from '@guestyard/load-device/vsc'
import { RootPartition } from '@guestyard/root-partition'
import type { PartitionSpec, PartitionStart } from '@guestyard/root-partition/worker-protocol'
import type { ClientChannel, VmbusClientEvent } from '@guestyard/vmbus/client'

export const MIB: number = 1024 * 1024

export interface Yard {
  readonly clock: ManualClock
  readonly root: RootPartition
  readonly threads: SingleThread
  /** Doorbell rings by direction. */
  readonly rings: { toRoot: number; toGuest: number }
}

export function yard(): Yard {
  const clock = new ManualClock()
  const rings = { toRoot: 0, toGuest: 0 }
  const root = new RootPartition({
    clock,
    clockOriginMs: 0,
    logicalProcessors: 1,
    openDoorbells: () => ({
      vp: { ring: () => void (rings.toGuest += 1) },
      vpBuffer: new SharedArrayBuffer(64),
      rootBuffer: new SharedArrayBuffer(64),
    }),
    closeDoorbells: () => {},
    onBusEvent: () => {},
  })
  return { clock, root, threads: new SingleThread({ machines: [root] }), rings }
}

/** A partition of the yard's root, whose guest is yet to come. */
export function partition(on: Yard, spec: Partial<PartitionSpec> = {}): PartitionStart {
  const defaults = { name: 'a', memoryBytes: 4 * MIB, vpCount: 1, weight: 100 }
  const created = on.root.createPartition({ ...defaults, ...spec })
  if (!created.ok) throw new Error(created.reason)
  return created.start
}

export interface Booted {
  readonly partitionId: number
  readonly memory: GuestMemory
  readonly kernel: Kernel
  readonly events: VmbusClientEvent[]
}

/** A guest of one VP whose bus is up. */
export function boot(
  on: Yard,
  spec: Partial<PartitionSpec> = {},
  placement: 'contiguous' | 'scattered' = 'contiguous',
): Booted {
  const start = partition(on, spec)
  const memory = GuestMemory.attach(start.memory)
  const vp = new VirtualProcessor(start.vps[0]!.handles, {
    memory,
    wakeRoot: { ring: () => void (on.rings.toRoot += 1) },
    clock: on.clock,
  })
  const events: VmbusClientEvent[] = []
  const kernel = new Kernel({
    vp,
    memory,
    placement,
    clock: on.clock,
    onBusEvent: (event) => events.push(event),
    wake: () => {},
  })
  const found = kernel.start()
  if (!found.ok) throw new Error(found.reason)
  on.threads.add(kernel)
  on.threads.settle()
  return { partitionId: start.partitionId, memory, kernel, events }
}

export interface EchoOptions {
  readonly packets: number
  readonly payloadBytes: number
  /** Data bytes of each ring. */
  readonly ringBytes: number
}

/** An echo over a guest's load device: begun when it is made. */
export class Echo {
  readonly channel: ClientChannel
  /** Null while it runs. */
  result: ChannelLoadResult | null = null
  isClosed = false
  readonly #on: Yard
  readonly #guest: Booted
  #reason = ''

  constructor(on: Yard, guest: Booted, { packets, payloadBytes, ringBytes }: EchoOptions) {
    this.#on = on
    this.#guest = guest
    const offer = guest.kernel.bus.offers().find((one) => one.classId === LOAD_CLASS_ID)
    if (offer === undefined) throw new Error('the load device is not offered')
    const channel = guest.kernel.bus.open(
      offer,
      { sendBytes: ringBytes, receiveBytes: ringBytes },
      {
        opened: (open) =>
          new LoadRunner(open, {
            spec: {
              direction: 'echo',
              payloadBytes,
              batch: 4,
              loop: { kind: 'closed', window: 16 },
              warmUp: { kind: 'packets', packets: 0 },
              measure: { kind: 'packets', packets },
            },
            nowNs: () => on.clock.now100ns * 100,
            latency: null,
            onDone: (done) => {
              if (done.ok) this.result = done.result
              else this.#reason = done.reason
            },
          }),
        closed: () => void (this.isClosed = true),
      },
    )
    if (channel === undefined) throw new Error('there are no pages for the rings')
    this.channel = channel
  }

  /** Runs it to its end, and closes its channel. Throws for what ended it before. */
  finish(): ChannelLoadResult {
    const { clock, threads } = this.#on
    threads.runUntil(
      () => this.result !== null || this.#reason !== '',
      () => clock.advanceMs(1),
    )
    if (this.result === null) throw new Error(this.#reason)
    this.#guest.kernel.bus.close(this.channel)
    threads.settle()
    return this.result
  }
}
