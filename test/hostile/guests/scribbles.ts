// A hostile guest program: it runs loads as a good one does, and has a thread of its own write over their rings
// meanwhile, or over everything it was given.

import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { Worker, workerData } from 'node:worker_threads'
import type { Guest } from '@guestyard/child-partition'
import type { WasmMemory } from '@guestyard/guestmem'
import { PAGE_SIZE } from '@guestyard/hvdef'
import type { VpHandles } from '@guestyard/hypervisor'
import type { LoadSpec } from '@guestyard/load-device/protocol'
import type { ClientChannel, VmbusClient } from '@guestyard/vmbus/client'

import type { ScribbleOrder } from '../scribbling-worker.ts'

/** The guest's own start data: its worker may read it, so a hostile program does. */
interface Given {
  readonly memory: WasmMemory
  readonly handles: VpHandles
  readonly doorbell: SharedArrayBuffer
  readonly rootDoorbell: SharedArrayBuffer
}

interface RingOrder {
  readonly rounds: number
  readonly writes: number
  readonly seed: number
}

const RING_BYTES = 4 * PAGE_SIZE
/** A run that nothing but a broken channel ends. */
const SPEC: LoadSpec = {
  direction: 'both',
  payloadBytes: 64,
  batch: 8,
  loop: { kind: 'closed', window: 16 },
  warmUp: { kind: 'packets', packets: 0 },
  measure: { kind: 'packets', packets: 1e12 },
  channels: 1,
  sendRingBytes: RING_BYTES,
  receiveRingBytes: RING_BYTES,
  waiting: 'event-loop',
  spinMicroseconds: 20,
}

export async function main(guest: Guest): Promise<void> {
  const given = workerData as Given
  const scribbler = new Worker(new URL('../scribbling-worker.ts', import.meta.url), {
    workerData: given.memory,
  })
  const order = async (one: ScribbleOrder): Promise<void> => {
    const done = once(scribbler, 'message')
    scribbler.postMessage(one)
    await done
  }
  const stop = { isCalled: false }
  const inRounds = (data: unknown, isHonest: boolean): Promise<{ opened: number }> => {
    stop.isCalled = false
    return goThroughChannels({ guest, order, stop, isHonest }, data as RingOrder)
  }
  guest.expose({
    rings: (data) => inRounds(data, false),
    honest: (data) => inRounds(data, true),
    stop: () => {
      stop.isCalled = true
    },
    everything: (data) => {
      const { writes, seed } = data as RingOrder
      const { vpPage, partitionPage } = given.handles
      const buffers = [vpPage, partitionPage, given.doorbell, given.rootDoorbell]
      void order({ target: 'everything', buffers, writes, seed })
    },
  })
  await once(guest.signal, 'abort')
  await scribbler.terminate()
}

interface Busy {
  readonly guest: Guest
  readonly order: (one: ScribbleOrder) => Promise<void>
  /** Ends after the current round. */
  readonly stop: { readonly isCalled: boolean }
  /** The second thread writes to memory of its own, and nobody signals without cause. */
  readonly isHonest: boolean
}

/** Load run after load run, each ended by scribbling over its rings, or by a guest that has had enough; how many there were. */
async function goThroughChannels(
  { guest, order, stop, isHonest }: Busy,
  { rounds, writes, seed }: RingOrder,
): Promise<{ opened: number }> {
  const channels = new OpenedChannels(guest.vmbus)
  let opened = 0
  while (opened < rounds && !stop.isCalled) {
    // Every other round this end stays out of it, which would else be the first to find the nonsense.
    const next = channels.next(!isHonest && opened % 2 === 1)
    const run = guest.runLoad(SPEC)
    const channel = await Promise.race([next, run.then(neverEnds)])
    const scribbled = order({
      target: isHonest ? 'own' : 'rings',
      pfns: Array.from(channel.pfns),
      sendBytes: RING_BYTES - PAGE_SIZE,
      writes,
      seed: seed + opened,
    })
    await turnsUntil(scribbled, () => {
      // No good guest signals without a rest: the host is to look while it is being lied to.
      if (!isHonest) channel.signal()
    })
    // The host may have given the channel up, or this end, or neither: it is closed, and the run with it.
    guest.vmbus.close(channel)
    await run.then(neverEnds, () => undefined)
    opened += 1
  }
  return { opened }
}

/** Takes turns of the event loop, without a rest. */
async function turnsUntil(end: Promise<void>, turn: () => void): Promise<void> {
  const other = { isOver: false }
  const over = (): void => {
    other.isOver = true
  }
  end.then(over, over)
  while (!other.isOver) {
    turn()
    await setImmediate()
  }
  await end
}

function neverEnds(): never {
  throw new Error('a run without end came to its end')
}

/** Channels as the drivers of the guest open them: a program that shares their thread can listen in. */
class OpenedChannels {
  #next: PromiseWithResolvers<ClientChannel> = Promise.withResolvers()
  #isSilent = false

  constructor(bus: VmbusClient) {
    const open = bus.open.bind(bus)
    bus.open = (offer, options, listener) =>
      open(offer, options, {
        ...listener,
        opened: (channel) => {
          if (this.#isSilent) channel.run = () => undefined
          this.#isSilent = false
          this.#next.resolve(channel)
          return listener.opened(channel)
        },
      })
  }

  /** The next channel to be opened from now on; a silent one says what it opens with, and polls no more. */
  next(isSilent: boolean): Promise<ClientChannel> {
    this.#isSilent = isSilent
    this.#next = Promise.withResolvers()
    return this.#next.promise
  }
}
