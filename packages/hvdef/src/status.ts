// HV_STATUS: the low 16 bits of a hypercall's result (TLFS, "Hypercall Status Codes").

/** Every status this project knows. A status from a peer is a plain number: `hvStatusName` names any. */
export const HvStatus = {
  SUCCESS: 0x00,
  INVALID_HYPERCALL_CODE: 0x02,
  INVALID_HYPERCALL_INPUT: 0x03,
  INVALID_ALIGNMENT: 0x04,
  INVALID_PARAMETER: 0x05,
  ACCESS_DENIED: 0x06,
  INVALID_PARTITION_STATE: 0x07,
  OPERATION_DENIED: 0x08,
  UNKNOWN_PROPERTY: 0x09,
  PROPERTY_VALUE_OUT_OF_RANGE: 0x0a,
  INSUFFICIENT_MEMORY: 0x0b, //            the caller deposits more and tries again
  PARTITION_TOO_DEEP: 0x0c,
  INVALID_PARTITION_ID: 0x0d,
  INVALID_VP_INDEX: 0x0e,
  NOT_FOUND: 0x10,
  INVALID_PORT_ID: 0x11,
  INVALID_CONNECTION_ID: 0x12,
  INSUFFICIENT_BUFFERS: 0x13, //           the port's message buffers are all in use: try again later
  NOT_ACKNOWLEDGED: 0x14,
  INVALID_VP_STATE: 0x15,
  ACKNOWLEDGED: 0x16,
  INVALID_SAVE_RESTORE_STATE: 0x17,
  INVALID_SYNIC_STATE: 0x18,
  OBJECT_IN_USE: 0x19,
  INVALID_PROXIMITY_DOMAIN_INFO: 0x1a,
  NO_DATA: 0x1b,
  INACTIVE: 0x1c,
  NO_RESOURCES: 0x1d,
  FEATURE_UNAVAILABLE: 0x1e,
  PROCESSOR_FEATURE_NOT_SUPPORTED: 0x20,
  INSUFFICIENT_BUFFER: 0x33, //            the output area is too small
  INVALID_LP_INDEX: 0x41,
  INVALID_REGISTER_VALUE: 0x50,
  INVALID_VTL_STATE: 0x51,
  INVALID_DEVICE_ID: 0x57,
  INVALID_DEVICE_STATE: 0x58,
  INVALID_CPU_GROUP_ID: 0x6f,
  INVALID_CPU_GROUP_STATE: 0x70,
  OPERATION_FAILED: 0x71,
  INSUFFICIENT_ROOT_MEMORY: 0x73,
  TIME_OUT: 0x78,
  VTL_ALREADY_ENABLED: 0x86,
  UNKNOWN_REGISTER_NAME: 0x87,
} as const

export type HvStatus = (typeof HvStatus)[keyof typeof HvStatus]

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(HvStatus).map(([name, value]) => [value, `HV_STATUS_${name}`]),
)

/** True for a status in the table. */
export function isHvStatus(n: number): n is HvStatus {
  return NAMES.has(n)
}

/** The status as the spec writes it, or `HV_STATUS_0x` and its number for one we do not know. */
export function hvStatusName(n: number): string {
  return NAMES.get(n) ?? `HV_STATUS_0x${n.toString(16).padStart(2, '0')}`
}
