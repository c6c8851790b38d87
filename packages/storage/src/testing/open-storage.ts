// A controller and its driver, joined over a bus in one thread. For tests and examples; never loaded by the package itself.

import { parseGuid } from '@guestyard/hvdef'
import type { ClientChannel } from '@guestyard/vmbus/client'
import { createLoopback } from '@guestyard/vmbus/testing'
import type { Loopback, LoopbackOptions } from '@guestyard/vmbus/testing'
import { StorVsc } from '../vsc/index.ts'
import type { StorRequest, StorUnit } from '../vsc/index.ts'
import { StorVsp, scsiOffer } from '../vsp/index.ts'
import type { StorTarget, StorVspOptions } from '../vsp/index.ts'

/** Guest memory when a test does not say. */
const MEMORY_BYTES = 4 * 1024 * 1024
const INSTANCE_ID = parseGuid('f8b3781a-1e82-4818-a1c3-63d806ec15bb')

export interface OpenStorageOptions {
  readonly loopback?: LoopbackOptions
  readonly vsp?: Omit<StorVspOptions, 'target'>
  readonly ringBytes?: number
  readonly depth?: number
  readonly subChannels?: number
}

/** A host with a controller and a guest that has opened it and its sub-channels. */
export interface OpenStorage {
  readonly loopback: Loopback
  readonly vsp: StorVsp
  readonly vsc: StorVsc
  readonly channel: ClientChannel
  /** Units as the driver found them last. */
  readonly units: readonly StorUnit[]
  /** What the driver told its listener, a line each. */
  readonly events: readonly string[]
  /** Milliseconds of the guest's clock; moved by tests. */
  readonly clock: { nowMs: number }
  /** Takes so many bytes of guest memory from the allocator, in one piece; where they are. */
  readonly allocate: (lengthBytes: number) => number
  /** Submits a request and pumps until both ends rest. */
  readonly run: (request: StorRequest, lane?: number) => StorRequest
}

/** Offers a controller with `target` behind it, and lets a driver open it. Throws when it does not come up. */
export function openStorage(target: StorTarget, options: OpenStorageOptions = {}): OpenStorage {
  const events: string[] = []
  const clock = { nowMs: 0 }
  const loopback = createLoopback({
    memoryBytes: MEMORY_BYTES,
    ...options.loopback,
    onClientEvent: (event) => {
      options.loopback?.onClientEvent?.(event)
      const isSub = event.is === 'offer' && event.offer.subChannelIndex > 0
      if (isSub) loopback.client.open(event.offer, vsc, vsc.channels)
    },
  })
  const { memory } = loopback
  // From the end of RAM down: the loopback gives pages from the end of its list, so this takes a stretch that it is not asked for.
  let free = memory.sizeBytes / 2
  const allocate = (lengthBytes: number): number => {
    free -= Math.ceil(lengthBytes / 4096) * 4096
    if (free < 4096) throw new Error('The guest has no more memory for data.')
    return free
  }
  const vsp = new StorVsp({ target, ...options.vsp })
  const vsc = new StorVsc({
    listener: {
      onReady: () => events.push('ready'),
      onUnits: (units) => events.push(`${units.length} units`),
      onLate: () => events.push('late'),
      onReset: (isDone) => events.push(isDone ? 'reset' : 'not reset'),
      onFailed: (reason) => events.push(`failed: ${reason}`),
      onClosed: (reason) => events.push(`closed: ${reason}`),
    },
    memory,
    scratchPfn: allocate(4096) / 4096,
    clock,
    ...(options.ringBytes !== undefined && { ringBytes: options.ringBytes }),
    ...(options.depth !== undefined && { depth: options.depth }),
    ...(options.subChannels !== undefined && { subChannels: options.subChannels }),
  })
  loopback.server.offer(scsiOffer(INSTANCE_ID), vsp)
  loopback.client.connect()
  loopback.pump()
  const [offer] = loopback.client.offers()
  if (offer === undefined) throw new Error('The controller is not offered.')
  const channel = loopback.client.open(offer, vsc, vsc.channels)
  loopback.pump()
  if (channel?.state !== 'open') throw new Error('The channel did not open.')
  return {
    loopback,
    vsp,
    vsc,
    channel,
    events,
    clock,
    allocate,
    get units() {
      return vsc.units
    },
    run(request, lane = 0) {
      if (!vsc.submit(request, lane)) throw new Error('The controller takes no requests.')
      loopback.pump()
      return request
    },
  }
}
