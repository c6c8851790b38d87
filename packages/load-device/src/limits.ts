// Limits of the load device, the same at both ends.

/** The shortest data packet: the 8-byte header alone. */
export const LOAD_PAYLOAD_MIN_BYTES = 8
/** The longest data packet's payload, header included. */
export const LOAD_PAYLOAD_MAX_BYTES = 65536
/** Packets published at once at most. */
export const LOAD_BATCH_MAX = 1024
/** Echo packets under way on one channel at most. */
export const LOAD_WINDOW_MAX = 4096
/** Channels of one run. A request for sub-channels asks for fewer. */
export const LOAD_CHANNELS_MAX = 16
/** Sub-channels that one offer has at once. */
export const LOAD_SUB_CHANNELS_MAX = 32
/** Ends of relay streams that one partition holds at once: nobody takes what the others need. */
export const LOAD_STREAMS_PER_PARTITION_MAX = 32
/** Relay streams that one hub holds at once, half-joined ones included: as many as 64 partitions may have. */
export const LOAD_STREAMS_MAX = 2048
