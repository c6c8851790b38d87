// Names that hypercalls about a partition and its processors use: registers, properties, kinds of interrupt.

/** HV_REGISTER_NAME, as far as this project meets them. Every value takes 16 bytes. */
export const HvRegister = {
  EXPLICIT_SUSPEND: 0x0000_0000, //   1: the VP runs no guest code. 1 when a VP is created
  INTERCEPT_SUSPEND: 0x0000_0001, //  1: it waits for its parent to complete an intercept
  PENDING_EVENT0: 0x0001_0004, //     an exception to raise instead of going on: PendingException
  RAX: 0x0002_0000,
  RCX: 0x0002_0001,
  RDX: 0x0002_0002,
  RBX: 0x0002_0003,
  RSI: 0x0002_0006,
  RDI: 0x0002_0007,
  RIP: 0x0002_0010,
  RFLAGS: 0x0002_0011,
  HYPERCALL: 0x0009_0001,
  GUEST_OS_ID: 0x0009_0002,
  VP_INDEX: 0x0009_0003,
  TIME_REF_COUNT: 0x0009_0004,
} as const
export type HvRegister = (typeof HvRegister)[keyof typeof HvRegister]

/** PENDING_EVENT0, low word: an event is pending; it has an error code. Its vector is in bits 31:16, the code in the next word. */
export const PENDING_EVENT_PENDING = 0x1
export const PENDING_EVENT_HAS_ERROR_CODE = 0x100
export const PENDING_EVENT_VECTOR_SHIFT = 16

/** HV_PARTITION_PROPERTY_CODE. Values are u64. */
export const HvPartitionProperty = {
  PRIVILEGE_FLAGS: 0x0001_0000, //      before Initialize
  SYNTHETIC_FEATURES: 0x0001_0001, //   before Initialize
  SUSPEND: 0x0002_0000, //              0 or 1
  CPU_RESERVE: 0x0002_0001, //          0..0x10000 of one logical processor per VP, at most the cap
  CPU_CAP: 0x0002_0002, //              0..0x10000, at least the reserve
  CPU_WEIGHT: 0x0002_0003, //           1..10000
  CPU_GROUP_ID: 0x0002_0004,
  TIME_FREEZE: 0x0003_0003, //          0 or 1
  REFERENCE_TIME: 0x0003_0005, //       100 ns; set only while time is frozen
  PROCESSORS_PER_SOCKET: 0x0005_0003, // before Initialize
  GUEST_OS_ID: 0x0007_0000, //          read only
} as const
export type HvPartitionProperty = (typeof HvPartitionProperty)[keyof typeof HvPartitionProperty]

/** A whole logical processor, as caps and reserves count. */
export const CPU_FRACTION_ONE = 0x1_0000
export const CPU_WEIGHT_DEFAULT = 100
export const CPU_WEIGHT_MAX = 10_000

/** HV_INTERRUPT_TYPE of AssertVirtualInterrupt. */
export const HvInterruptType = { FIXED: 0, LOWEST_PRIORITY: 1, NMI: 4 } as const
/** Its flags. */
export const ASSERT_LEVEL_TRIGGERED = 0x1
export const ASSERT_LOGICAL_DESTINATION = 0x2

/** Flag of UnmapGpaPages: elements are pages of 2 MiB. */
export const UNMAP_LARGE_PAGE = 0x2

/** HV_TRANSLATE_GVA_RESULT_CODE. */
export const HvTranslateResult = {
  SUCCESS: 0,
  GPA_UNMAPPED: 4,
  GPA_NO_READ_ACCESS: 5,
  GPA_NO_WRITE_ACCESS: 6,
} as const
/** Control flags of TranslateVirtualAddress. */
export const TRANSLATE_VALIDATE_READ = 0x1
export const TRANSLATE_VALIDATE_WRITE = 0x2
