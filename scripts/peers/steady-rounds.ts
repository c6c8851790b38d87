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
/** Extra rounds for those that did not count, when nobody says how many. */
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

/** Values of one speed. */
export function isOneSpeed(...values: readonly number[]): boolean {
  return Math.max(...values) <= Math.min(...values) * SAME_SPEED
}

/** One speed before and after, and two processors for two threads. */
function isSteady(before: number, after: number): boolean {
  return Math.max(before, after) < DISTURBED_NS && isOneSpeed(before, after)
}

export interface SteadyRoundsOptions {
  /** After this moment of `performance.now` no second or later round begins. */
  readonly untilMs?: number
  /** Rounds in the place of those that do not count, at most. */
  readonly extraRounds?: number
}

export class SteadyRounds {
  /** Every probe so far, those of rounds that did not count included; nanoseconds. */
  readonly probesNs: number[]
  readonly #peers: PeerPair
  readonly #wanted: number
  readonly #most: number
  readonly #untilMs: number

  constructor(peers: PeerPair, wanted: number, options: SteadyRoundsOptions = {}) {
    this.#peers = peers
    this.#wanted = wanted
    this.#most = wanted + (options.extraRounds ?? EXTRA_ROUNDS)
    this.#untilMs = options.untilMs ?? Number.POSITIVE_INFINITY
    this.probesNs = []
  }

  /**
   * Runs rounds until enough count; when none does, all of them are given back. One round at least. `counts` is the
   * caller's own judgement of a round, on top of the probes'.
   */
  async run<T>(
    measure: (round: number) => Promise<T>,
    counts: (found: T) => boolean = () => true,
  ): Promise<readonly Round<T>[]> {
    const rounds: Round<T>[] = []
    const steady: Round<T>[] = []
    while (steady.length < this.#wanted && rounds.length < this.#most) {
      const before = await this.#probe()
      const found = await measure(rounds.length + 1)
      const after = await this.#probe()
      const round: Round<T> = { probesNs: [before, after], found }
      rounds.push(round)
      if (isSteady(before, after) && counts(found)) steady.push(round)
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
