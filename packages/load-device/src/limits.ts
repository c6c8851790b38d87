// Limits of the load device, the same at both ends.

/** The shortest data packet: the 8-byte header alone. */
export const LOAD_PAYLOAD_MIN_BYTES = 8
/** The longest data packet's payload, header included. */
export const LOAD_PAYLOAD_MAX_BYTES = 65536
/** Packets published at once at most. */
export const LOAD_BATCH_MAX = 1024
/** Echo packets under way on one channel at most. */
export const LOAD_WINDOW_MAX = 4096
/** Channels of one offer: the primary and its sub-channels. */
export const LOAD_CHANNELS_MAX = 16
/** Relay streams that one hub holds at once, half-joined ones included. */
export const LOAD_STREAMS_MAX = 256
