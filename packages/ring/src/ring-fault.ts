// What a ring answers. A ring never throws for what its peer wrote: it returns one of these, and
// after a fault it is dead.

/** Result of the operations of an `OutgoingRing`. Zero and above is success. */
export const RingStatus = {
  OK: 0,
  /** No room now: nothing was written. `neededBytes` says how much must be free. */
  FULL: -1,
  /** Larger than this ring can ever carry: nothing was written. */
  TOO_BIG: -2,
  /** This end is dead; `fault` says why. */
  FAULT: -3,
} as const
export type RingStatus = (typeof RingStatus)[keyof typeof RingStatus]

/**
 * Why a ring end is dead: what its peer wrote there that a working peer does not. The number is
 * stable. A dead end touches the shared pages no more.
 */
export const RingFault = {
  NONE: 0,
  /** Write index outside the data area, or not a multiple of 8. */
  BAD_WRITE_INDEX: 1,
  /** Read index outside the data area, or not a multiple of 8. */
  BAD_READ_INDEX: 2,
  /** Write index moved back over bytes already announced. */
  WRITE_INDEX_REWOUND: 3,
  /** Read index moved back, or past what was written. */
  READ_INDEX_REWOUND: 4,
  /** Fewer than 16 bytes announced, so that no descriptor fits: 8, then. */
  TRUNCATED_DESCRIPTOR: 5,
  /** Payload offset below 2 or beyond the packet's length. */
  BAD_OFFSET: 6,
  /** Packet with its trailer reaches beyond what was announced. */
  LENGTH_BEYOND_INDEX: 7,
  /** A flag other than "completion requested". */
  BAD_FLAGS: 8,
  /** A packet type this end does not accept. */
  UNKNOWN_TYPE: 9,
  /** The type's own header does not fit before the payload. */
  SHORT_HEADER: 10,
  /** A GPA-direct packet without ranges. */
  NO_RANGES: 11,
  /** A range of no bytes, with an offset beyond its first page, too long, or beyond the header. */
  BAD_RANGE: 12,
  /** More ranges than this end was told to accept. */
  TOO_MANY_RANGES: 13,
  /** A packet longer than this end was told to accept, or than its arena holds. */
  PACKET_TOO_LARGE: 14,
  /** Closed by its owner; the peer did nothing wrong. */
  CLOSED: 15,
} as const
export type RingFault = (typeof RingFault)[keyof typeof RingFault]

const NAMES: readonly string[] = Object.keys(RingFault)

/** Name of a fault, for logs and `inspect`. */
export function ringFaultName(fault: number): string {
  return NAMES[fault] ?? `UNKNOWN_${fault}`
}
