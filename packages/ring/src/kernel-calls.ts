// What an implementation of the ring's inner loops offers. `s` is the private address of an end's
// state (state-layout.ts), `from` that of the bytes to write. Results are those of the methods that
// call these: see `OutgoingRing` and `IncomingRing`.

/**
 * Writes one packet: `body` bytes of header and payload, `header` of them header; `kind` is type |
 * flags << 16.
 */
export type WriteCall = (
  s: number,
  from: number,
  body: number,
  header: number,
  kind: number,
  tidLow: number,
  tidHigh: number,
) => number

export interface KernelCalls {
  readonly write: WriteCall
  /** `write`, then `publish`. */
  readonly send: WriteCall
  readonly each: (
    s: number,
    from: number,
    stride: number,
    count: number,
    body: number,
    kind: number,
    tidLow: number,
    tidHigh: number,
  ) => number
  readonly batch: (
    s: number,
    from: number,
    bytes: number,
    packets: number,
    publish: number,
  ) => number
  readonly reserve: (
    s: number,
    body: number,
    header: number,
    kind: number,
    tidLow: number,
    tidHigh: number,
  ) => number
  readonly publish: (s: number) => number
  readonly room: (s: number) => number
  readonly block: (s: number, total: number) => number
  readonly receive: (s: number, max: number) => number
  readonly peek: (s: number) => number
  readonly consume: (s: number) => void
  readonly release: (s: number) => number
  /**
   * Spins until the shared word at byte `at` is not `value`, `turns` looks at most. 1 when it
   * changed.
   */
  readonly spin: (at: number, value: number, turns: number) => number
}
