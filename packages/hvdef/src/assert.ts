// What is ours: an invariant that only a bug of this project can break. What a peer can make false is
// never asserted; it is answered with a status.

/** Throws when `condition` is false. `sentence` states, in full, what should have been true. */
export function assert(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new Error(`Assertion failed: ${sentence}`)
}

/** The last arm of a switch over a closed union: compiles only when every member has its own arm. */
export function assertNever(value: never): never {
  throw new Error(`Assertion failed: ${JSON.stringify(value)} has no arm in this switch`)
}
