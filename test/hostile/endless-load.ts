// A guest whose load never ends: run after run on one channel, every packet's sequence checked at both ends. Its neighbours
// show by it that they are not held up.

import type { ChannelLoadSpec } from '@guestyard/load-device/protocol'
import { LoadRunner } from '@guestyard/load-device/vsc'
import type { ClientChannel } from '@guestyard/vmbus/client'

import { POLL_BUDGET, loadOfferOf, type Yard, type YardGuest } from './yard.ts'

const SPEC: ChannelLoadSpec = {
  direction: 'echo',
  payloadBytes: 64,
  batch: 2,
  loop: { kind: 'closed', window: 8 },
  warmUp: { kind: 'packets', packets: 0 },
  measure: { kind: 'packets', packets: 500 },
}
const RING_DATA_BYTES = 2 * 4096
/** Turns within which an answer comes when nobody stands in the way. */
const TURNS_TO_PROGRESS = 8
const CANARY_PAGES = 16

export class EndlessLoad {
  readonly guest: YardGuest
  readonly #yard: Yard
  readonly #channel: ClientChannel
  readonly #canary: Canary
  runs = 0

  constructor(yard: Yard, guest: YardGuest) {
    this.guest = guest
    this.#yard = yard
    this.#canary = new Canary(guest, CANARY_PAGES)
    let opened: ClientChannel | undefined
    guest.kernel.bus.open(
      loadOfferOf(guest),
      { sendBytes: RING_DATA_BYTES, receiveBytes: RING_DATA_BYTES },
      {
        opened: (channel) => {
          opened = channel
          return undefined
        },
      },
    )
    yard.until(() => opened !== undefined, [guest], "the neighbour's channel")
    this.#channel = opened!
    this.#run()
  }

  /** Packets that have come back so far. */
  get packets(): number {
    return this.#channel.incoming.packets
  }

  /** Takes turns with the root until a packet has come back. Throws when none does, or when one is out of order. */
  mustProgress(): void {
    const before = this.packets
    for (let turn = 0; turn < TURNS_TO_PROGRESS; turn += 1) {
      this.guest.kernel.poll(POLL_BUDGET)
      if (this.packets > before) return
      this.#yard.pollRoot()
    }
    throw new Error('the neighbour makes no progress')
  }

  /** Throws when a byte of this guest changed that nobody had business with. */
  mustBeUntouched(): void {
    this.#canary.mustBeUntouched()
  }

  #run(): void {
    this.#channel.run(
      new LoadRunner(this.#channel, {
        spec: SPEC,
        nowNs: () => this.#yard.clock.now100ns * 100,
        latency: null,
        onDone: (outcome) => {
          if (!outcome.ok) throw new Error(`the neighbour's load failed: ${outcome.reason}`)
          const { sequenceErrors, peerSequenceErrors, packetsMissing } = outcome.result
          if (sequenceErrors + peerSequenceErrors + packetsMissing > 0) {
            throw new Error("the neighbour's packets are out of order or lost")
          }
          this.runs += 1
          this.#run()
        },
      }),
    )
  }
}

/** Pages of a guest's RAM that nothing uses, filled with a pattern. */
export class Canary {
  readonly pfns: ArrayLike<number>
  readonly #words: Int32Array

  constructor(guest: YardGuest, pageCount: number) {
    const pfns = guest.kernel.pages.allocate(pageCount)
    if (pfns === undefined) throw new Error('the guest has no pages left')
    this.pfns = pfns
    this.#words = guest.memory.i32
    this.#eachWord((at) => {
      this.#words[at] = patternOf(at)
    })
  }

  mustBeUntouched(): void {
    this.#eachWord((at) => {
      if (this.#words[at] !== patternOf(at)) {
        throw new Error(
          `byte 0x${(at * 4).toString(16)} of a guest's RAM changed, which no channel names`,
        )
      }
    })
  }

  #eachWord(visit: (at: number) => void): void {
    for (let page = 0; page < this.pfns.length; page += 1) {
      const first = this.pfns[page]! * 1024
      for (let at = first; at < first + 1024; at += 1) visit(at)
    }
  }
}

function patternOf(at: number): number {
  return Math.imul(at, 0x9e37_79b1) | 1
}
