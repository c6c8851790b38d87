// Private state of one ring end, as byte offsets into its block of private memory. The WebAssembly
// text, its twin and the classes all take the layout from here; the peer never sees any of it.
//
// | word      | outgoing end                     | incoming end                    |
// |-----------|----------------------------------|---------------------------------|
// | NEXT      | where the next packet goes       | where the next packet is        |
// | PUBLISHED | `in` as last stored              | `out` as last stored            |
// | PEER      | `out` as last read and validated | `in` as last read and validated |
//
// RUN_DELTA and RUN_END are the run of pages around an offset: shared address = offset + delta, for
// offsets below the end.
//
// Counters are u64, so that they never wrap: two u32 words, low first.

/** Byte address of the control page in shared memory. */
export const CONTROL = 0
/** Bytes of the data area, a multiple of 4096. */
export const SIZE = 4
/** Private address of the page table: for each data page a delta and a run end, 4 bytes each. */
export const PAGES_AT = 8
/** RingFault; not 0 = dead. */
export const FAULT = 12
export const NEXT = 16
export const PUBLISHED = 20
export const PEER = 24
/** RUN_DELTA and RUN_END are copied together, as one u64. */
export const RUN_DELTA = 32
export const RUN_END = 36
/**
 * Outgoing: largest packet with trailer. Incoming: the same, as a limit on the peer, never above
 * AREA_BYTES.
 */
export const MAX_TOTAL = 40
/** Incoming: arena. Outgoing: batch area, where packets of one size are put together too. */
export const AREA_AT = 44
export const AREA_BYTES = 48
/** Incoming: index of packets received. */
export const TABLE_AT = 52
export const TABLE_COUNT = 56

/** Outgoing: bytes the refused packet needs free. */
export const NEEDED = 60
/** Outgoing: pending send size as stored, 0 when not blocked. */
export const PENDING = 64
/** Outgoing: 1 when the last publishing found that the peer must be signalled. */
export const SIGNAL_DUE = 68
/** Incoming: bit n = packet type n is accepted. */
export const ACCEPT = 60
/** Incoming: ranges a packet may carry. */
export const MAX_RANGES = 64
/** Incoming: bytes of the packet that was peeked at, 0 when none. */
export const PEEKED = 68
/** Incoming: bytes of ring that the last packet took. */
export const TYPICAL = 120

export const PACKETS = 72
/** Bytes of ring that the packets took, framing included. */
export const BYTES = 80
export const PUBLISHES = 88
export const SIGNALS = 96
/** Outgoing only: writes refused because the ring was full. */
export const FULLS = 104

/**
 * Incoming: private bytes that were copied out of the ring and not yet asked for; they begin at
 * ring offset NEXT.
 */
export const WINDOW_AT = 112
export const WINDOW_END = 116

/** The typed kernel's: 32 bytes to compose a piece of a split packet. */
export const SCRATCH = 128

export const STATE_BYTES = 160

/** One received packet: its offset in the arena, and that of its payload. */
export const INDEX_ENTRY_BYTES = 8
/** One page of the page table: delta, run end. */
export const PAGE_ENTRY_BYTES = 8
/** Bytes after a staging area or an arena that steps of 32 bytes may touch. */
export const AREA_SLACK = 32

/** Byte offsets in the control page (package hvdef, `RingControl`). */
export const CONTROL_IN = 0
export const CONTROL_OUT = 4
export const CONTROL_MASK = 8
export const CONTROL_PENDING = 12
export const CONTROL_FEATURES = 64

/**
 * Bytes that are copied out of the ring at once, when that many are there: at least and at most.
 */
export const FETCH_MIN_BYTES = 1024
export const FETCH_MAX_BYTES = 16384

/**
 * Copies longer than this are left to `memory.copy`: below it, its call costs more than the loop.
 */
export const INLINE_COPY_BYTES = 512

/**
 * Largest packets of one size, trailer included, that are put together and copied at once. Writing
 * over what a peer's cache holds is the dear part of sending, and one long copy costs half of many
 * short ones; above this a packet is long enough by itself.
 */
export const TOGETHER_MAX_BYTES = 8192
