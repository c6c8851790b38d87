// The synthetic MSRs (TLFS, "Synthetic MSRs" by chapter): one row each, with the privilege that gates it and what
// a read and a write do. A number without a row, without the privilege, or without the access asked for is #GP.

import {
  HvPrivilege,
  MSR_PAGE_ENABLE,
  PAGE_SIZE,
  SINT_COUNT,
  SYNIC_VERSION,
  SyntheticMsr,
  msrPageNumber,
} from '@guestyard/hvdef'
import type { GuestMemory } from '@guestyard/guestmem'

import type { LocalApic } from './apic.ts'
import type { MsrValue, PartitionRegisters } from './partition-registers.ts'
import type { Synic } from './synic/synic.ts'

/** What rows may touch: the registers of one VP and of its partition. */
export interface MsrRegisters {
  readonly vpIndex: number
  readonly partition: PartitionRegisters
  readonly synic: Synic
  readonly apic: LocalApic
  readonly memory: GuestMemory
  readonly vpAssistPage: MsrValue
  /** 100 ns since the partition was created. */
  referenceTime(): number
  /** The guest's handler is done: interrupts below it, and messages, may go on. */
  endOfInterrupt(): void
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
    read: (r, _, out) => setNumber(out, r.vpIndex),
    write: null,
  },
  {
    ...one(
      SyntheticMsr.TIME_REF_COUNT,
      'TIME_REF_COUNT',
      P.ACCESS_PARTITION_REFERENCE_COUNTER,
      'partition',
    ),
    read: (r, _, out) => r.partition.readReferenceTime(r.referenceTime(), out),
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
    read: (r, _, out) => {
      out.low = r.vpAssistPage.low
      out.high = r.vpAssistPage.high
    },
    write: writeVpAssistPage,
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
      r.synic.scanMessages()
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
]

function one(msr: number, name: string, privilege: HvPrivilege | null, scope: MsrRow['scope']) {
  return { msr, count: 1, name, privilege, scope }
}

/** Bits other than the enable bit must be zero, and an enabled page must be RAM. A new page begins as zeros. */
function writeVpAssistPage(r: MsrRegisters, _: number, low: number, high: number): boolean {
  if ((low & 0xffe) !== 0) return false
  const gpa = msrPageNumber(low, high) * PAGE_SIZE
  if ((low & MSR_PAGE_ENABLE) !== 0 && !r.memory.fill(gpa, 0, PAGE_SIZE)) return false
  r.vpAssistPage.low = low >>> 0
  r.vpAssistPage.high = high >>> 0
  return true
}

function setNumber(out: MsrValue, value: number): void {
  out.low = value >>> 0
  out.high = Math.floor(value / 2 ** 32) >>> 0
}
