// The two rings of a channel, as one side sees them.
//
//   GPADL pages   0            1 .. D-1        D            D+1 .. N-1
//                 control      data            control      data
//                 guest → host                 host → guest

import type { PageList } from '@guestyard/guestmem'
import { IncomingRing, type IncomingRingOptions, incomingPrivateBytes } from './incoming-ring.ts'
import { OutgoingRing } from './outgoing-ring.ts'
import { RingFault } from './ring-fault.ts'
import { pooledBytes, recycleKernel, takeKernel } from './idle-kernels.ts'
import { type KernelKind, type RingKernel, createRingKernel, roundUp } from './ring-kernel.ts'
import { type RingPages, initializeRing, ringPagesOf } from './ring-pages.ts'
import { type OutgoingRingOptions, outgoingPrivateBytes } from './sending-end.ts'

export interface RingPairOptions {
  readonly outgoing?: OutgoingRingOptions
  readonly incoming?: IncomingRingOptions
  /** `wasm` when left out. */
  readonly kernel?: KernelKind
}

/** Both ends that one side of a channel uses. One thread. */
export class RingPair {
  readonly outgoing: OutgoingRing
  readonly incoming: IncomingRing
  /** True when its private memory was made for it, which costs much: no closed pair had left one. */
  readonly isFresh: boolean
  readonly #kernel: RingKernel
  readonly #shared: object
  #closed = false

  /** Use `createRingPair` or `openRings`. */
  constructor(
    kernel: RingKernel,
    send: RingPages,
    receive: RingPages,
    options: RingPairOptions,
    isFresh = true,
  ) {
    this.isFresh = isFresh
    this.#kernel = kernel
    this.#shared = send.shared
    this.outgoing = new OutgoingRing(kernel, send, options.outgoing)
    this.incoming = new IncomingRing(kernel, receive, options.incoming)
  }

  /**
   * Ends all access to the shared pages; both ends are dead from here on. Their private memory goes
   * to the next pair over the same shared memory, so keep no view of it.
   */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.outgoing.close()
    this.incoming.close()
    recycleKernel(this.#shared, this.#kernel)
  }
}

/**
 * Both ends of one side: what it sends through `send` and receives through `receive`, rings in the
 * same shared memory.
 */
export function createRingPair(
  send: RingPages,
  receive: RingPages,
  options: RingPairOptions = {},
): RingPair {
  const privateBytes =
    roundUp(outgoingPrivateBytes(send, options.outgoing), 64) +
    roundUp(incomingPrivateBytes(receive, options.incoming), 64)
  // A shared memory that is no RAM has one pair, or a few of one size.
  const room = send.shared instanceof SharedArrayBuffer ? privateBytes : pooledBytes(privateBytes)
  const idle = takeKernel(send.shared, privateBytes, options.kernel ?? 'wasm')
  const kernel = idle ?? createRingKernel(send.shared, room, options.kernel)
  return new RingPair(kernel, send, receive, options, idle === undefined)
}

/** Why a channel's rings cannot be opened: what the guest asked for makes no sense. */
export type RingOpenFailure = 'bad-split' | 'bad-control-page'

/**
 * The rings of a channel over the pages of its GPADL, as OPENCHANNEL names them:
 * `downstreamPageOffset` is the first page of the ring from host to guest. The guest calls it
 * first, before it opens the channel: it empties both rings. The host then takes them as they are.
 */
export function openRings(
  pages: PageList,
  downstreamPageOffset: number,
  side: 'guest' | 'host',
  options: RingPairOptions = {},
): RingPair | RingOpenFailure {
  const upstreamPages = downstreamPageOffset
  const downstreamPages = pages.pageCount - downstreamPageOffset
  if (!(upstreamPages >= 2) || !(downstreamPages >= 2)) return 'bad-split'
  const upstream = ringPagesOf(pages, 0, upstreamPages)
  const downstream = ringPagesOf(pages, downstreamPageOffset, downstreamPages)
  if (side === 'guest') {
    initializeRing(upstream)
    initializeRing(downstream)
    return createRingPair(upstream, downstream, options)
  }
  const pair = createRingPair(downstream, upstream, options)
  if (pair.outgoing.fault !== RingFault.NONE || pair.incoming.fault !== RingFault.NONE) {
    pair.close()
    return 'bad-control-page'
  }
  return pair
}
