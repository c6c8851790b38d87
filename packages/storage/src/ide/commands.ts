// Command codes (ATA/ATAPI-6, clause 8) that the drives serve. Both families read them.

export const AtaCommand = {
  NOP: 0x00,
  DATA_SET_MANAGEMENT: 0x06, //   ATA/ATAPI-8: TRIM
  DEVICE_RESET: 0x08,
  RECALIBRATE: 0x10,
  READ_SECTORS: 0x20,
  READ_SECTORS_ONCE: 0x21, //     without retries: older drivers
  READ_SECTORS_EXT: 0x24,
  READ_DMA_EXT: 0x25,
  READ_MULTIPLE_EXT: 0x29,
  WRITE_SECTORS: 0x30,
  WRITE_SECTORS_ONCE: 0x31,
  WRITE_SECTORS_EXT: 0x34,
  WRITE_DMA_EXT: 0x35,
  WRITE_MULTIPLE_EXT: 0x39,
  WRITE_DMA_FUA_EXT: 0x3d,
  READ_VERIFY: 0x40,
  READ_VERIFY_ONCE: 0x41,
  READ_VERIFY_EXT: 0x42,
  SEEK: 0x70,
  EXECUTE_DIAGNOSTIC: 0x90,
  INITIALIZE_PARAMETERS: 0x91,
  PACKET: 0xa0,
  IDENTIFY_PACKET: 0xa1,
  READ_MULTIPLE: 0xc4,
  WRITE_MULTIPLE: 0xc5,
  SET_MULTIPLE: 0xc6,
  READ_DMA: 0xc8,
  READ_DMA_ONCE: 0xc9,
  WRITE_DMA: 0xca,
  WRITE_DMA_ONCE: 0xcb,
  WRITE_MULTIPLE_FUA_EXT: 0xce,
  STANDBY_IMMEDIATE: 0xe0,
  IDLE_IMMEDIATE: 0xe1,
  STANDBY: 0xe2,
  IDLE: 0xe3,
  CHECK_POWER: 0xe5,
  SLEEP: 0xe6,
  FLUSH_CACHE: 0xe7,
  FLUSH_CACHE_EXT: 0xea,
  IDENTIFY: 0xec,
  SET_FEATURES: 0xef,
} as const

/** Subcommands of SET FEATURES. */
export const AtaFeature = {
  WRITE_CACHE_ON: 0x02,
  TRANSFER_MODE: 0x03,
  READ_AHEAD_OFF: 0x55,
  DEFAULTS_KEPT: 0x66,
  WRITE_CACHE_OFF: 0x82,
  READ_AHEAD_ON: 0xaa,
  DEFAULTS_RESTORED: 0xcc,
} as const

/** Sectors in one block of READ MULTIPLE, at most. */
export const MULTIPLE_MAX = 16
/** 512-byte blocks of ranges in one TRIM. */
export const TRIM_BLOCKS_MAX = 8
