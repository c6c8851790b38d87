// Scribbling over rings, one mutation at a time, with everything checked that must hold whatever a guest writes:
//
//   - no poll throws, and each does a bounded amount of work (`Yard.pollRoot`);
//   - with a guest that stands still the root comes to rest;
//   - a channel is given up with a RingFault and reported, and a given-up channel's pages are not written again;
//   - the neighbour's packets keep coming, in order, and no byte changes that the rings do not cover;
//   - closing and opening again works every time and costs neither end anything.

import { RingFault, ringFaultName } from '@guestyard/ring'
import type { LoadDirection } from '@guestyard/load-device/protocol'

import { EndlessLoad } from './endless-load.ts'
import { Random } from './random.ts'
import { mutateRings } from './ring-mutations.ts'
import { Victim } from './victim.ts'
import { Yard } from './yard.ts'

/** Mutations of one opening of the channel at most: then it is opened anew, so that no run gets stuck in a dead corner. */
const MUTATIONS_PER_OPENING = 48
/** Openings after which what the host holds is compared with the beginning. */
const OPENINGS_PER_AUDIT = 64
const DIRECTIONS: readonly (LoadDirection | 'idle')[] = [
  'idle',
  'guest-to-root',
  'root-to-guest',
  'both',
  'echo',
]

/** What a run did, as plain data. */
export interface ScribbleReport {
  readonly seed: number
  readonly mutations: number
  readonly openings: number
  /** Channels that the host gave up, by the name of the fault. */
  readonly faults: Readonly<Record<string, number>>
  readonly neighbourPackets: number
  readonly rootPolls: number
  /** The most units of work that one poll of the root did. */
  readonly unitsMax: number
}

export class RingScribbler {
  readonly #seed: number
  readonly #random: Random
  readonly #yard: Yard
  readonly #neighbour: EndlessLoad
  readonly #victim: Victim
  readonly #freePages: number
  readonly #holdings: string
  readonly #faults: Map<string, number>
  #mutations: number
  #left: number

  constructor(seed: number) {
    this.#seed = seed
    this.#random = new Random(seed)
    this.#yard = new Yard()
    this.#neighbour = new EndlessLoad(this.#yard, this.#yard.boot('neighbour'))
    const guest = this.#yard.boot('victim', this.#random.chance(50) ? 'contiguous' : 'scattered')
    this.#victim = new Victim(this.#yard, guest)
    this.#freePages = guest.kernel.pages.freePages
    this.#yard.restRoot()
    this.#holdings = this.#holdingsNow()
    this.#faults = new Map()
    this.#mutations = 0
    this.#left = 0
    this.#begin()
  }

  /** Makes `count` more mutations. Throws at the first thing that must not be, with the seed and the number of the mutation. */
  run(count: number): void {
    const until = this.#mutations + count
    while (this.#mutations < until) {
      try {
        this.#step()
      } catch (error) {
        throw new Error(`seed ${this.#seed}, mutation ${this.#mutations}: ${String(error)}`, {
          cause: error,
        })
      }
    }
  }

  report(): ScribbleReport {
    return {
      seed: this.#seed,
      mutations: this.#mutations,
      openings: this.#victim.opens,
      faults: Object.fromEntries(this.#faults),
      neighbourPackets: this.#neighbour.packets,
      rootPolls: this.#yard.rootPolls,
      unitsMax: this.#yard.unitsMax,
    }
  }

  #step(): void {
    this.#workABit()
    // One word, or several before the host looks again.
    const burst = this.#random.chance(80) ? 1 : 1 + this.#random.below(8)
    for (let i = 0; i < burst; i += 1) this.#mutate()
    if (this.#random.chance(75)) this.#victim.signal()
    this.#yard.pollRoot()
    if (this.#random.chance(25)) this.#yard.pollRoot()
    this.#neighbour.mustProgress()
    this.#victim.noteEvents()
    const isOver = this.#victim.failure !== undefined || !this.#victim.isOpen
    if (isOver || this.#left <= 0) this.#reopen()
  }

  /** Both ends move on as they would, so that the next mutation meets another state. */
  #workABit(): void {
    for (let turns = this.#random.below(4); turns > 0; turns -= 1) {
      this.#victim.turn()
      this.#yard.pollRoot()
    }
  }

  #begin(): void {
    this.#left = MUTATIONS_PER_OPENING
    const direction = this.#random.pick(DIRECTIONS)
    if (direction !== 'idle') this.#victim.load(direction, this.#random.pick([8, 64, 72, 1000]))
  }

  #reopen(): void {
    this.#yard.restRoot()
    this.#victim.noteEvents()
    if (this.#victim.failure !== undefined) this.#mustLetGo(this.#victim.failure)
    this.#victim.close()
    this.#neighbour.mustBeUntouched()
    this.#victim.mustBeUntouchedElsewhere()
    this.#victim.open()
    const { freePages } = this.#victim.guest.kernel.pages
    if (freePages !== this.#freePages) {
      throw new Error(`the victim has ${freePages} free pages, and had ${this.#freePages}`)
    }
    if (this.#victim.opens % OPENINGS_PER_AUDIT === 0) this.#audit()
    this.#begin()
  }

  /** The host has given the channel up: for a reason of the table, and for good. */
  #mustLetGo(failure: number | string): void {
    if (typeof failure !== 'number' || failure <= RingFault.NONE || failure >= RingFault.CLOSED) {
      throw new Error(`the channel failed with "${failure}", which is no RingFault of a peer`)
    }
    const name = ringFaultName(failure)
    this.#faults.set(name, (this.#faults.get(name) ?? 0) + 1)
    const before = this.#victim.rings.digest()
    this.#victim.signal()
    this.#yard.restRoot()
    if (this.#victim.rings.digest() !== before) {
      throw new Error('the host wrote to the rings of a channel that it has given up')
    }
  }

  #audit(): void {
    this.#yard.restRoot()
    const now = this.#holdingsNow()
    if (now !== this.#holdings) throw new Error(`the host holds ${now}, and held ${this.#holdings}`)
  }

  #holdingsNow(): string {
    return JSON.stringify({ ...this.#yard.holdings(this.#victim.guest), active: 0 })
  }

  #mutate(): void {
    this.#mutations += 1
    this.#left -= 1
    mutateRings(this.#victim.rings, this.#random)
  }
}
