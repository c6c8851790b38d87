/**
 * `expect` for scenarios: a small set of checks that are collected, not thrown. A run goes on after
 * a failed check, and its exit code says at the end whether every bound held; the report shows each
 * check with what was measured and what was asked.
 */

import { isDeepStrictEqual } from 'node:util'

import { placeIn } from './place.ts'
import { show } from './quantity.ts'

/** One check, as the report shows it. */
export interface CheckResult {
  /** The name given to `expect`, or the place in the scenario file where it stands. */
  readonly name: string
  readonly passed: boolean
  /** What was measured, as text. */
  readonly actual: string
  /** What was asked, as text: `> 1000000`, `= 'stopped'`. */
  readonly bound: string
}

/** What can be asked of a value. Every method records one result and returns whether it held. */
export interface Expectation {
  /** `>`; anything but a number fails. */
  toBeGreaterThan(bound: number): boolean
  /** `>=`; anything but a number fails. */
  toBeAtLeast(bound: number): boolean
  /** `<`; anything but a number fails. */
  toBeLessThan(bound: number): boolean
  /** `<=`; anything but a number fails. */
  toBeAtMost(bound: number): boolean
  /** The same value (`Object.is`). */
  toBe(bound: unknown): boolean
  /** Equal in structure and type. */
  toEqual(bound: unknown): boolean
  /** Text or list that contains the item. */
  toContain(item: unknown): boolean
}

/** The function handed to a scenario's `run`. `name` says in the report what the figure is. */
export type Expect = (actual: unknown, name?: string) => Expectation

/** Makes an `expect` whose results land in `results`; `nameAt` names checks that were given none. */
export function createExpect(results: CheckResult[], nameAt: () => string): Expect {
  return (actual, name = nameAt()) => {
    const record = (passed: boolean, bound: string): boolean => {
      results.push({ name, passed, actual: describe(actual), bound })
      return passed
    }
    const number = typeof actual === 'number' ? actual : Number.NaN
    return {
      toBeGreaterThan: (bound) => record(number > bound, `> ${bound}`),
      toBeAtLeast: (bound) => record(number >= bound, `>= ${bound}`),
      toBeLessThan: (bound) => record(number < bound, `< ${bound}`),
      toBeAtMost: (bound) => record(number <= bound, `<= ${bound}`),
      toBe: (bound) => record(Object.is(actual, bound), `= ${describe(bound)}`),
      toEqual: (bound) => record(isDeepStrictEqual(actual, bound), `equals ${describe(bound)}`),
      toContain: (item) => record(contains(actual, item), `contains ${describe(item)}`),
    }
  }
}

/** Where the scenario called `expect`: `two-guests.ts:31`, from the stack; a number without one. */
export function callSite(fileUrl: string | undefined, count: number): string {
  const fallback = `check ${count + 1}`
  if (fileUrl === undefined) return fallback
  return placeIn(fileUrl, new Error('only its stack is used').stack ?? '') ?? fallback
}

function contains(actual: unknown, item: unknown): boolean {
  if (typeof actual === 'string') return typeof item === 'string' && actual.includes(item)
  return Array.isArray(actual) && actual.some((entry) => isDeepStrictEqual(entry, item))
}

function describe(value: unknown): string {
  // Six digits say enough of a measurement; whole numbers are shown as they are.
  if (typeof value === 'number' && !Number.isInteger(value)) {
    return String(Number(value.toPrecision(6)))
  }
  if (typeof value !== 'object' || value === null) return show(value)
  try {
    const text = JSON.stringify(value) ?? show(value)
    return text.length > 60 ? `${text.slice(0, 57)}…` : text
  } catch {
    return show(value) //  circular, or holding a bigint
  }
}
