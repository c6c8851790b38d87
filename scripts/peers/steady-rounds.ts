/**
 * Rounds of a machine that changes its speed: the spinning round trip of two threads is probed before
 * and after each, and a round whose probes disagree does not count.
 */

import { median } from '@guestyard/scenario'

import type { PeerPair } from './peer-pair.ts'

export interface Round<T> {
  /** Spinning round trip before and after, nanoseconds. */
  readonly probesNs: readonly [number, number]
  readonly found: T
}

/** Probes that differ by more than this factor are of two speeds. */
const SAME_SPEED = 1.5
/** Extra rounds for those that did not count. */
const EXTRA_ROUNDS = 1

export class SteadyRounds {
  readonly #peers: PeerPair
  readonly #wanted: number

  constructor(peers: PeerPair, wanted: number) {
    this.#peers = peers
    this.#wanted = wanted
  }

  /** Runs rounds until enough count; when too few ever do, all of them are given back. */
  async run<T>(measure: (round: number) => Promise<T>): Promise<readonly Round<T>[]> {
    const rounds: Round<T>[] = []
    const steady: Round<T>[] = []
    while (steady.length < this.#wanted && rounds.length < this.#wanted + EXTRA_ROUNDS) {
      const before = await this.#probe()
      const found = await measure(rounds.length + 1)
      const after = await this.#probe()
      const round: Round<T> = { probesNs: [before, after], found }
      rounds.push(round)
      if (Math.max(before, after) <= Math.min(before, after) * SAME_SPEED) steady.push(round)
    }
    return steady.length > 0 ? steady : rounds
  }

  async #probe(): Promise<number> {
    const trips = await this.#peers.roundTrips({ peer: 'spin', warmUpMs: 2, measureMs: 10 })
    return median([...trips])
  }
}
