/**
 * Rounds of a machine that changes its speed: the spinning round trip of two threads is probed before
 * and after each, and a round whose probes disagree, or show that other work ran, does not count.
 */

import assert from 'node:assert/strict'

import { formatNs, median } from '@guestyard/scenario'

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
/** Two free processors meet in well under a microsecond; what takes longer than this waits for one. */
const DISTURBED_NS = 10_000

/**
 * One line when probes say that two threads did not have two processors; `undefined` else. The upper quartile
 * decides: a probe is shorter than a scheduler's slice, so that most of them escape what else runs.
 */
export function disturbance(probesNs: readonly number[]): string | undefined {
  const quartile = probesNs.toSorted((a, b) => a - b)[Math.floor(probesNs.length * 0.75)] ?? 0
  return quartile < DISTURBED_NS
    ? undefined
    : `other work on this machine disturbs these figures: two spinning threads needed ${formatNs(quartile)} to meet`
}

/** One speed before and after, and two processors for two threads. */
function isSteady(before: number, after: number): boolean {
  const slower = Math.max(before, after)
  return slower < DISTURBED_NS && slower <= Math.min(before, after) * SAME_SPEED
}

export class SteadyRounds {
  /** Every probe so far, those of rounds that did not count included; nanoseconds. */
  readonly probesNs: number[]
  readonly #peers: PeerPair
  readonly #wanted: number
  readonly #untilMs: number

  /** After `untilMs` (of `performance.now`) no second or later round begins. */
  constructor(peers: PeerPair, wanted: number, untilMs: number = Number.POSITIVE_INFINITY) {
    this.#peers = peers
    this.#wanted = wanted
    this.#untilMs = untilMs
    this.probesNs = []
  }

  /** Runs rounds until enough count; when none does, all of them are given back. One round at least. */
  async run<T>(measure: (round: number) => Promise<T>): Promise<readonly Round<T>[]> {
    const rounds: Round<T>[] = []
    const steady: Round<T>[] = []
    while (steady.length < this.#wanted && rounds.length < this.#wanted + EXTRA_ROUNDS) {
      const before = await this.#probe()
      const found = await measure(rounds.length + 1)
      const after = await this.#probe()
      const round: Round<T> = { probesNs: [before, after], found }
      rounds.push(round)
      if (isSteady(before, after)) steady.push(round)
      if (performance.now() >= this.#untilMs) break
    }
    return steady.length > 0 ? steady : rounds
  }

  async #probe(): Promise<number> {
    const trips = await this.#peers.roundTrips({ peer: 'spin', warmUpMs: 2, measureMs: 10 })
    assert(trips.length > 0, 'A probe has one sample at least.')
    const probeNs = median([...trips])
    this.probesNs.push(probeNs)
    return probeNs
  }
}
