// Explores every interleaving of a few threads whose steps are single atomic accesses.

/** Variables of a model: plain data, cloned for every step. */
export type Variables = Record<string, number | number[] | boolean>

/**
 * A thread: its step at each program counter changes the variables and returns the next counter, or 'blocked' when it cannot
 * go now (and then has changed nothing), or 'done'.
 */
export interface ModelThread<V extends Variables> {
  readonly name: string
  readonly steps: readonly ((variables: V) => number | 'blocked' | 'done')[]
}

export interface Exploration<V> {
  /** Different states met. */
  readonly states: number
  /** Every state in which no thread could go on. */
  readonly ends: readonly V[]
}

const DONE = -1
const STATES_MAX = 2_000_000

/** All states reachable from `initial`. Throws when there are more than two million. */
export function explore<V extends Variables>(
  initial: V,
  threads: readonly ModelThread<V>[],
): Exploration<V> {
  const seen = new Set<string>()
  const ends: V[] = []
  const open: { variables: V; counters: number[] }[] = [
    { variables: initial, counters: threads.map(() => 0) },
  ]
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const key = JSON.stringify(state)
    if (seen.has(key)) continue
    seen.add(key)
    if (seen.size > STATES_MAX) throw new Error('The model is too large to explore')
    let stuck = true
    for (const [index, thread] of threads.entries()) {
      const counter = state.counters[index]!
      if (counter === DONE) continue
      const variables = structuredClone(state.variables)
      const next = thread.steps[counter]!(variables)
      if (next === 'blocked') continue
      stuck = false
      const counters = state.counters.with(index, next === 'done' ? DONE : next)
      open.push({ variables, counters })
    }
    if (stuck) ends.push(state.variables)
  }
  return { states: seen.size, ends }
}
