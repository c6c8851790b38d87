// The commands that units here know, by the names of SPC-4, SBC-3 and MMC-6, and the statuses that they end with (SAM-5).

export const ScsiOpcode = {
  TEST_UNIT_READY: 0x00,
  REQUEST_SENSE: 0x03,
  READ_6: 0x08,
  WRITE_6: 0x0a,
  INQUIRY: 0x12,
  MODE_SELECT_6: 0x15,
  RESERVE_6: 0x16,
  RELEASE_6: 0x17,
  MODE_SENSE_6: 0x1a,
  START_STOP_UNIT: 0x1b,
  PREVENT_ALLOW_MEDIUM_REMOVAL: 0x1e,
  READ_CAPACITY_10: 0x25,
  READ_10: 0x28,
  WRITE_10: 0x2a,
  SEEK_10: 0x2b,
  VERIFY_10: 0x2f,
  SYNCHRONIZE_CACHE_10: 0x35,
  WRITE_SAME_10: 0x41,
  UNMAP: 0x42,
  READ_TOC: 0x43,
  GET_CONFIGURATION: 0x46,
  GET_EVENT_STATUS_NOTIFICATION: 0x4a,
  READ_DISC_INFORMATION: 0x51,
  READ_TRACK_INFORMATION: 0x52,
  MODE_SELECT_10: 0x55,
  RESERVE_10: 0x56,
  RELEASE_10: 0x57,
  MODE_SENSE_10: 0x5a,
  PERSISTENT_RESERVE_IN: 0x5e,
  PERSISTENT_RESERVE_OUT: 0x5f,
  READ_16: 0x88,
  WRITE_16: 0x8a,
  VERIFY_16: 0x8f,
  SYNCHRONIZE_CACHE_16: 0x91,
  WRITE_SAME_16: 0x93,
  SERVICE_ACTION_IN_16: 0x9e,
  REPORT_LUNS: 0xa0,
  READ_12: 0xa8,
  WRITE_12: 0xaa,
  VERIFY_12: 0xaf,
  SET_CD_SPEED: 0xbb,
  MECHANISM_STATUS: 0xbd,
} as const

/** Service action of SERVICE ACTION IN (16). */
export const READ_CAPACITY_16_ACTION = 0x10

export const ScsiStatus = {
  GOOD: 0x00,
  CHECK_CONDITION: 0x02,
  RESERVATION_CONFLICT: 0x18,
  /** The initiator tries again later. */
  TASK_SET_FULL: 0x28,
} as const
export type ScsiStatus = (typeof ScsiStatus)[keyof typeof ScsiStatus]

export const PeripheralType = { DISK: 0x00, CD_DVD: 0x05 } as const
/** Peripheral qualifier 3 and type 0x1f: no unit can be here. */
export const NO_PERIPHERAL = 0x7f
