// The guest that scribbles. It drives a channel of the load device as a good guest would, writes nonsense over the pages it shares
// with the host, and closes and opens the channel again when one of the two has given it up.

import { HYPERCALL_FAST, HVCALL_SIGNAL_EVENT } from '@guestyard/hvdef'
import type { ChannelLoadSpec, LoadDirection } from '@guestyard/load-device/protocol'
import { LoadRunner } from '@guestyard/load-device/vsc'
import type { ClientChannel } from '@guestyard/vmbus/client'

import { Canary } from './endless-load.ts'
import { ringsOf, type ChannelRings } from './ring-pages.ts'
import { POLL_BUDGET, loadOfferOf, type Yard, type YardGuest } from './yard.ts'

/** Unequal, and neither a power of two pages. */
const SEND_BYTES = 3 * 4096
const RECEIVE_BYTES = 5 * 4096

const SIGNAL_FAST = HVCALL_SIGNAL_EVENT | HYPERCALL_FAST
const CANARY_PAGES = 4

export class Victim {
  readonly guest: YardGuest
  readonly #yard: Yard
  readonly #before: Canary
  readonly #after: Canary
  #channel: ClientChannel | undefined
  #rings: ChannelRings | undefined
  #closed: boolean
  /** The host's reason for giving the channel up: a RingFault or a text. */
  failure: number | string | undefined
  /** Times that the channel was opened. */
  opens = 0

  constructor(yard: Yard, guest: YardGuest) {
    this.guest = guest
    this.#yard = yard
    this.#closed = true
    // The rings are opened between the two: what the host writes beside them is seen.
    this.#before = new Canary(guest, CANARY_PAGES)
    this.open()
    this.#after = new Canary(guest, CANARY_PAGES)
  }

  get rings(): ChannelRings {
    if (this.#rings === undefined) throw new Error('the victim has no open channel')
    return this.#rings
  }

  /** False once this end has closed the channel because its own end of the ring broke. */
  get isOpen(): boolean {
    return this.#channel?.state === 'open'
  }

  open(): void {
    this.failure = undefined
    this.#closed = false
    this.#channel = undefined
    this.opens += 1
    const opening = this.guest.kernel.bus.open(
      loadOfferOf(this.guest),
      { sendBytes: SEND_BYTES, receiveBytes: RECEIVE_BYTES },
      {
        opened: (channel) => {
          this.#channel = channel
          this.#rings = ringsOf(channel.memory, Array.from(channel.pfns), SEND_BYTES)
          return undefined
        },
        closed: () => {
          this.#closed = true
        },
      },
    )
    if (opening === undefined) throw new Error('the victim cannot open its channel again')
    this.#yard.until(
      () => this.#channel !== undefined,
      [this.guest],
      "the victim's channel to open",
    )
    this.noteEvents()
  }

  /** Closes the channel, whatever became of it, and waits until its pages are free. */
  close(): void {
    const channel = this.#channel
    if (channel !== undefined && channel.state === 'open') this.guest.kernel.bus.close(channel)
    this.#yard.until(() => this.#closed, [this.guest], "the victim's channel to close")
    this.noteEvents()
  }

  /** Begins a run of the load device, so that both ends are at work when the scribbling begins. */
  load(direction: LoadDirection, payloadBytes: number): void {
    const channel = this.#channel
    if (channel === undefined || channel.state !== 'open') return
    const spec: ChannelLoadSpec = {
      direction,
      payloadBytes,
      batch: 3,
      loop: { kind: 'closed', window: 16 },
      warmUp: { kind: 'packets', packets: 0 },
      measure: { kind: 'packets', packets: 1e9 },
    }
    channel.run(
      new LoadRunner(channel, {
        spec,
        nowNs: () => this.#yard.clock.now100ns * 100,
        latency: null,
        // This end finds the nonsense too, and gives up: its channel is closed and opened again.
        onDone: () => this.guest.kernel.bus.close(channel),
      }),
    )
  }

  /** Lets the guest work: it may find its own scribbles, and must not throw for them either. */
  turn(): void {
    this.guest.kernel.poll(POLL_BUDGET)
  }

  /** Signals the channel past the ring's rules, so that the host looks now. Returns an HvStatus. */
  signal(): number {
    const { connectionId } = loadOfferOf(this.guest)
    return this.guest.vp.hypercall(SIGNAL_FAST, 0, connectionId, 0, 0, 0)
  }

  /** Takes note of what the host reported about this guest. */
  noteEvents(): void {
    for (const event of this.#yard.takeEvents(this.guest)) {
      if (event.is === 'channel-failed') this.failure = event.reason
    }
  }

  mustBeUntouchedElsewhere(): void {
    this.#before.mustBeUntouched()
    this.#after.mustBeUntouched()
  }
}
