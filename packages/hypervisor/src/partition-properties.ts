// What a partition's parent sets of it as a whole (TLFS, HV_PARTITION_PROPERTY_CODE): one row for each property, with what it may
// hold and when it may change. Root's thread only.

import {
  CPU_FRACTION_ONE,
  CPU_WEIGHT_DEFAULT,
  CPU_WEIGHT_MAX,
  HvPartitionProperty,
  HvPrivilege,
  HvStatus,
  hasPrivilege,
} from '@guestyard/hvdef'
import type { PrivilegeMask } from '@guestyard/hvdef'

/** A property's value: u64 as two u32 halves. */
export interface PropertyValue {
  low: number
  high: number
}

/** What the properties are about, where that is not the properties themselves. */
export interface PropertySubject {
  readonly isInitialized: boolean
  /** As the guest wrote it. */
  readonly guestOsId: PropertyValue
  /** Reference time in 100 ns. */
  readonly referenceTime: number
  setSuspended(suspended: boolean): void
  setTimeFrozen(frozen: boolean): void
  setReferenceTime(time100ns: number): void
}

/** Values of one partition's properties. */
export class PartitionProperties {
  privileges: PrivilegeMask
  readonly syntheticFeatures: PropertyValue = { low: 0, high: 0 }
  cpuReserve = 0
  cpuCap: number = CPU_FRACTION_ONE
  cpuWeight: number = CPU_WEIGHT_DEFAULT
  readonly cpuGroupId: PropertyValue = { low: 0, high: 0 }
  suspended = false
  timeFrozen = false
  processorsPerSocket = 1
  readonly #subject: PropertySubject

  constructor(subject: PropertySubject, privileges: PrivilegeMask) {
    this.#subject = subject
    this.privileges = privileges
  }

  /** SUCCESS, or UNKNOWN_PROPERTY. */
  read(code: number, out: PropertyValue): HvStatus {
    const row = ROWS.get(code)
    if (row === undefined) return HvStatus.UNKNOWN_PROPERTY
    out.low = 0
    out.high = 0
    row.read(this, this.#subject, out)
    return HvStatus.SUCCESS
  }

  /**
   * SUCCESS; UNKNOWN_PROPERTY; ACCESS_DENIED for one that can only be read; INVALID_PARTITION_STATE for one that Initialize has
   * fixed; PROPERTY_VALUE_OUT_OF_RANGE.
   */
  write(code: number, low: number, high: number): HvStatus {
    const row = ROWS.get(code)
    if (row === undefined) return HvStatus.UNKNOWN_PROPERTY
    if (row.write === null) return HvStatus.ACCESS_DENIED
    if (row.early && this.#subject.isInitialized) return HvStatus.INVALID_PARTITION_STATE
    return row.write(this, this.#subject, low >>> 0, high >>> 0)
      ? HvStatus.SUCCESS
      : HvStatus.PROPERTY_VALUE_OUT_OF_RANGE
  }
}

interface Row {
  /** Only before Initialize. */
  readonly early: boolean
  readonly read: (values: PartitionProperties, subject: PropertySubject, out: PropertyValue) => void
  /** False: the value is out of range. Null: read only. */
  readonly write:
    | ((
        values: PartitionProperties,
        subject: PropertySubject,
        low: number,
        high: number,
      ) => boolean)
    | null
}

/** Processors of a socket, at most. */
const SOCKET_MAX = 2048

const C = HvPartitionProperty
const ROWS: ReadonlyMap<number, Row> = new Map<number, Row>([
  [
    C.PRIVILEGE_FLAGS,
    {
      early: true,
      read: (values, _, out) => copy(values.privileges, out),
      write(values, _, low, high) {
        const privileges = { low, high }
        if (isRootMask(privileges)) return false
        values.privileges = privileges
        return true
      },
    },
  ],
  [
    C.SYNTHETIC_FEATURES,
    {
      early: true,
      read: (values, _, out) => copy(values.syntheticFeatures, out),
      write: (values, _, low, high) => assign(values.syntheticFeatures, low, high),
    },
  ],
  [
    C.SUSPEND,
    {
      early: false,
      read: (values, _, out) => setNumber(out, values.suspended ? 1 : 0),
      write(values, subject, low, high) {
        if (high !== 0 || low > 1) return false
        values.suspended = low === 1
        subject.setSuspended(values.suspended)
        return true
      },
    },
  ],
  [
    C.CPU_RESERVE,
    {
      early: false,
      read: (values, _, out) => setNumber(out, values.cpuReserve),
      write(values, _, low, high) {
        if (high !== 0 || low > values.cpuCap) return false
        values.cpuReserve = low
        return true
      },
    },
  ],
  [
    C.CPU_CAP,
    {
      early: false,
      read: (values, _, out) => setNumber(out, values.cpuCap),
      write(values, _, low, high) {
        if (high !== 0 || low > CPU_FRACTION_ONE || low < values.cpuReserve) return false
        values.cpuCap = low
        return true
      },
    },
  ],
  [
    C.CPU_WEIGHT,
    {
      early: false,
      read: (values, _, out) => setNumber(out, values.cpuWeight),
      write(values, _, low, high) {
        if (high !== 0 || low < 1 || low > CPU_WEIGHT_MAX) return false
        values.cpuWeight = low
        return true
      },
    },
  ],
  [
    C.CPU_GROUP_ID,
    {
      early: false,
      read: (values, _, out) => copy(values.cpuGroupId, out),
      write: (values, _, low, high) => assign(values.cpuGroupId, low, high),
    },
  ],
  [
    C.TIME_FREEZE,
    {
      early: false,
      read: (values, _, out) => setNumber(out, values.timeFrozen ? 1 : 0),
      write(values, subject, low, high) {
        if (high !== 0 || low > 1) return false
        values.timeFrozen = low === 1
        subject.setTimeFrozen(values.timeFrozen)
        return true
      },
    },
  ],
  [
    C.REFERENCE_TIME,
    {
      early: false,
      read: (_, subject, out) => setNumber(out, subject.referenceTime),
      write(values, subject, low, high) {
        const time = high * 2 ** 32 + low
        if (!values.timeFrozen || !Number.isSafeInteger(time)) return false
        subject.setReferenceTime(time)
        return true
      },
    },
  ],
  [
    C.PROCESSORS_PER_SOCKET,
    {
      early: true,
      read: (values, _, out) => setNumber(out, values.processorsPerSocket),
      write(values, _, low, high) {
        if (high !== 0 || low < 1 || low > SOCKET_MAX) return false
        values.processorsPerSocket = low
        return true
      },
    },
  ],
  [
    C.GUEST_OS_ID,
    { early: false, read: (_, subject, out) => copy(subject.guestOsId, out), write: null },
  ],
])

/** With both, Linux takes itself for the root partition. */
function isRootMask(privileges: PrivilegeMask): boolean {
  return (
    hasPrivilege(privileges, HvPrivilege.CREATE_PARTITIONS) &&
    hasPrivilege(privileges, HvPrivilege.CPU_MANAGEMENT)
  )
}

function copy(from: PrivilegeMask, out: PropertyValue): void {
  out.low = from.low
  out.high = from.high
}

function assign(to: PropertyValue, low: number, high: number): true {
  to.low = low
  to.high = high
  return true
}

function setNumber(out: PropertyValue, value: number): void {
  out.low = value >>> 0
  out.high = Math.floor(value / 2 ** 32) >>> 0
}
