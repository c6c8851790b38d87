// Fairness as figures: what shares ought to be, computed another way than the scheduler does, and how even they are.

import { CPU_FRACTION_ONE } from '@guestyard/hvdef'

import type { CpuProperties } from './cpu-properties.ts'

/** Halvings of the interval in which the level lies: far more than a double can tell apart. */
const HALVINGS = 200

/**
 * The fraction of one logical processor that each of several VPs that never halt is due: by weight, at least its reserve, at most its cap
 * and one processor, all processors in use if anybody can use them. Found by bisection.
 */
export function fairShares(
  vps: readonly CpuProperties[],
  logicalProcessors: number,
): readonly number[] {
  const at = (level: number): number[] =>
    vps.map(({ weight, cap, reserve }) =>
      Math.min(cap / CPU_FRACTION_ONE, Math.max(reserve / CPU_FRACTION_ONE, weight * level)),
    )
  let low = 0
  let high = 1
  for (let i = 0; i < HALVINGS; i += 1) {
    const middle = (low + high) / 2
    if (sum(at(middle)) < logicalProcessors) low = middle
    else high = middle
  }
  return at(high)
}

/** Jain's index of what equals got: 1 when all got the same, 1/n when one got everything. */
export function jainIndex(values: readonly number[]): number {
  const total = sum(values)
  const squares = sum(values.map((value) => value * value))
  return squares === 0 ? 1 : (total * total) / (values.length * squares)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
