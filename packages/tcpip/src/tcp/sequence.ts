// Sequence numbers go round at 2^32 (RFC 9293 section 3.4): order is the sign of a difference.

export function isBefore(a: number, b: number): boolean {
  return ((a - b) | 0) < 0
}

export function isAfter(a: number, b: number): boolean {
  return ((a - b) | 0) > 0
}

/** Bytes from `from` on to `to`, which is not before it. */
export function distance(from: number, to: number): number {
  return (to - from) >>> 0
}

export function advance(sequence: number, bytes: number): number {
  return (sequence + bytes) >>> 0
}
