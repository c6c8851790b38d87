// The synthetic MSRs (TLFS, "Synthetic MSRs" by chapter): one row each, with the privilege that gates it and what
// a read and a write do. A number without a row, without the privilege, or without the access asked for is #GP.

import {
  CRASH_MESSAGE_HIGH,
  CRASH_NOTIFY_HIGH,
  CRASH_NO_DUMP_HIGH,
  HvPrivilege,
  MSR_RESET_NOW,
  SINT_COUNT,
  STIMER_COUNT,
  SYNIC_VERSION,
  SyntheticMsr,
} from '@guestyard/hvdef'

import type { LocalApic } from './apic.ts'
import type { MsrValue } from './msr-value.ts'
import type { PartitionRegisters } from './partition-registers.ts'
import type { Synic } from './synic/synic.ts'
import { APIC_HZ } from './time/reference-clock.ts'
import type { ReferenceClock } from './time/reference-clock.ts'
import type { SyntheticTimers } from './time/synthetic-timers.ts'
import type { VpAssist } from './vp-assist.ts'

/** What rows may touch: the registers of one VP and of its partition. */
export interface MsrRegisters {
  readonly vpIndex: number
  readonly partition: PartitionRegisters
  readonly synic: Synic
  readonly apic: LocalApic
  readonly clock: ReferenceClock
  readonly timers: SyntheticTimers
  readonly assist: VpAssist
  /** 100 ns that this VP has run. */
  readonly runtime100ns: number
  readIcr(out: MsrValue): void
  writeIcr(low: number, high: number): boolean
  /** The guest's handler is done: interrupts below it, and messages, may go on. */
  endOfInterrupt(): void
  /** The guest has emptied a message slot. */
  endOfMessage(): void
  /** The guest has nothing to do until an interrupt comes. */
  idle(): void
  reportCrash(): void
  requestReset(): void
}

/** One synthetic MSR, or `count` of a kind. */
export interface MsrRow {
  readonly msr: number
  readonly count: number
  readonly name: string
  /** Null: any partition may use it. */
  readonly privilege: HvPrivilege | null
  readonly scope: 'partition' | 'vp'
  /** Null: reading is #GP. `index` is the number within `count`. */
  readonly read: ((registers: MsrRegisters, index: number, out: MsrValue) => void) | null
  /** Null: writing is #GP. False: this value is. */
  readonly write:
    | ((registers: MsrRegisters, index: number, low: number, high: number) => boolean)
    | null
}

const P = HvPrivilege
const CRASH_PARAMETERS = 5
/** What CRASH_CTL reads: a report, with a message or a wish for no dump. */
const CRASH_CAPABILITIES_HIGH: number =
  (CRASH_NOTIFY_HIGH | CRASH_MESSAGE_HIGH | CRASH_NO_DUMP_HIGH) >>> 0

/** The MSRs of this hypervisor. */
export const SYNTHETIC_MSRS: readonly MsrRow[] = [
  {
    ...one(SyntheticMsr.GUEST_OS_ID, 'GUEST_OS_ID', P.ACCESS_HYPERCALL_MSRS, 'partition'),
    read: (r, _, out) => r.partition.readGuestOsId(out),
    write: (r, _, low, high) => {
      r.partition.writeGuestOsId(low, high)
      return true
    },
  },
  {
    ...one(SyntheticMsr.HYPERCALL, 'HYPERCALL', P.ACCESS_HYPERCALL_MSRS, 'partition'),
    read: (r, _, out) => r.partition.readHypercall(out),
    write: (r, _, low, high) => r.partition.writeHypercall(low, high),
  },
  {
    ...one(SyntheticMsr.VP_INDEX, 'VP_INDEX', P.ACCESS_VP_INDEX, 'vp'),
    read: (r, _, out) => {
      out.low = r.vpIndex
      out.high = 0
    },
    write: null,
  },
  {
    ...one(SyntheticMsr.RESET, 'RESET', P.ACCESS_RESET_REG, 'partition'),
    read: (_r, _, out) => setNumber(out, 0),
    write: (r, _, low) => {
      if ((low & MSR_RESET_NOW) !== 0) r.requestReset()
      return true
    },
  },
  {
    ...one(SyntheticMsr.VP_RUNTIME, 'VP_RUNTIME', P.ACCESS_VP_RUNTIME_REG, 'vp'),
    read: (r, _, out) => setNumber(out, r.runtime100ns),
    write: null,
  },
  {
    ...one(
      SyntheticMsr.TIME_REF_COUNT,
      'TIME_REF_COUNT',
      P.ACCESS_PARTITION_REFERENCE_COUNTER,
      'partition',
    ),
    read: (r, _, out) => r.partition.readReferenceTime(out),
    write: null,
  },
  {
    ...one(
      SyntheticMsr.REFERENCE_TSC,
      'REFERENCE_TSC',
      P.ACCESS_PARTITION_REFERENCE_TSC,
      'partition',
    ),
    read: (r, _, out) => r.partition.readReferenceTsc(out),
    write: (r, _, low, high) => r.partition.writeReferenceTsc(low, high),
  },
  {
    ...one(SyntheticMsr.TSC_FREQUENCY, 'TSC_FREQUENCY', P.ACCESS_FREQUENCY_REGS, 'partition'),
    read: (r, _, out) => setNumber(out, r.clock.tscHz),
    write: null,
  },
  {
    ...one(SyntheticMsr.APIC_FREQUENCY, 'APIC_FREQUENCY', P.ACCESS_FREQUENCY_REGS, 'partition'),
    read: (_r, _, out) => setNumber(out, APIC_HZ),
    write: null,
  },
  {
    ...one(SyntheticMsr.EOI, 'EOI', P.ACCESS_INTR_CTRL_REGS, 'vp'),
    read: null,
    write: (r) => {
      r.endOfInterrupt()
      return true
    },
  },
  {
    ...one(SyntheticMsr.ICR, 'ICR', P.ACCESS_INTR_CTRL_REGS, 'vp'),
    read: (r, _, out) => r.readIcr(out),
    write: (r, _, low, high) => r.writeIcr(low, high),
  },
  {
    ...one(SyntheticMsr.TPR, 'TPR', P.ACCESS_INTR_CTRL_REGS, 'vp'),
    read: (r, _, out) => setNumber(out, r.apic.taskPriority),
    write: (r, _, low) => {
      r.apic.taskPriority = low
      return true
    },
  },
  {
    // Linux writes it on every CPU, even where privilege 4 was not announced.
    ...one(SyntheticMsr.VP_ASSIST_PAGE, 'VP_ASSIST_PAGE', null, 'vp'),
    read: (r, _, out) => r.assist.read(out),
    write: (r, _, low, high) => r.assist.write(low, high),
  },
  {
    ...one(SyntheticMsr.SCONTROL, 'SCONTROL', P.ACCESS_SYNIC_REGS, 'vp'),
    read: (r, _, out) => r.synic.readControl(out),
    write: (r, _, low, high) => {
      r.synic.writeControl(low, high)
      return true
    },
  },
  {
    ...one(SyntheticMsr.SVERSION, 'SVERSION', P.ACCESS_SYNIC_REGS, 'vp'),
    read: (_r, _, out) => setNumber(out, SYNIC_VERSION),
    write: null,
  },
  {
    ...one(SyntheticMsr.SIEFP, 'SIEFP', P.ACCESS_SYNIC_REGS, 'vp'),
    read: (r, _, out) => r.synic.readPage('sief', out),
    write: (r, _, low, high) => r.synic.writePage('sief', low, high),
  },
  {
    ...one(SyntheticMsr.SIMP, 'SIMP', P.ACCESS_SYNIC_REGS, 'vp'),
    read: (r, _, out) => r.synic.readPage('sim', out),
    write: (r, _, low, high) => r.synic.writePage('sim', low, high),
  },
  {
    ...one(SyntheticMsr.EOM, 'EOM', P.ACCESS_SYNIC_REGS, 'vp'),
    read: (_r, _, out) => setNumber(out, 0),
    write: (r) => {
      r.endOfMessage()
      return true
    },
  },
  {
    ...one(SyntheticMsr.SINT0, 'SINT', P.ACCESS_SYNIC_REGS, 'vp'),
    count: SINT_COUNT,
    read: (r, sint, out) => {
      out.low = r.synic.sints.low(sint)
      out.high = r.synic.sints.high(sint)
    },
    write: (r, sint, low, high) => r.synic.writeSint(sint, low, high),
  },
  {
    ...one(SyntheticMsr.STIMER0_CONFIG, 'STIMER', P.ACCESS_SYNTHETIC_TIMER_REGS, 'vp'),
    count: STIMER_COUNT * 2,
    read: (r, index, out) => {
      if ((index & 1) === 0) r.timers.readConfig(index >>> 1, out)
      else r.timers.readCount(index >>> 1, out)
    },
    write: (r, index, low, high) =>
      (index & 1) === 0
        ? r.timers.writeConfig(index >>> 1, low, high)
        : r.timers.writeCount(index >>> 1, low, high),
  },
  {
    ...one(SyntheticMsr.GUEST_IDLE, 'GUEST_IDLE', P.ACCESS_GUEST_IDLE_REG, 'vp'),
    read: (r, _, out) => {
      r.idle()
      setNumber(out, 0)
    },
    write: null,
  },
  {
    ...one(SyntheticMsr.CRASH_P0, 'CRASH_P', null, 'partition'),
    count: CRASH_PARAMETERS,
    read: (r, index, out) => r.partition.readCrashParameter(index, out),
    write: (r, index, low, high) => {
      r.partition.writeCrashParameter(index, low, high)
      return true
    },
  },
  {
    ...one(SyntheticMsr.CRASH_CTL, 'CRASH_CTL', null, 'partition'),
    read: (_r, _, out) => {
      out.low = 0
      out.high = CRASH_CAPABILITIES_HIGH
    },
    write: (r, _, low, high) => {
      // Without "notify" there is nothing to tell anybody.
      if ((high & CRASH_NOTIFY_HIGH) === 0) return true
      r.partition.writeCrashControl(low, high)
      r.reportCrash()
      return true
    },
  },
  {
    ...one(
      SyntheticMsr.TSC_INVARIANT_CONTROL,
      'TSC_INVARIANT_CONTROL',
      P.ACCESS_TSC_INVARIANT_CONTROLS,
      'partition',
    ),
    read: (r, _, out) => r.partition.readTscInvariant(out),
    write: (r, _, low, high) => r.partition.writeTscInvariant(low, high),
  },
]

function one(msr: number, name: string, privilege: HvPrivilege | null, scope: MsrRow['scope']) {
  return { msr, count: 1, name, privilege, scope }
}

function setNumber(out: MsrValue, value: number): void {
  out.low = value >>> 0
  out.high = value < 2 ** 32 ? 0 : Math.floor(value / 2 ** 32) >>> 0
}
