// What a virtual processor is beside its RAM, as a record that a file can hold, and the way back. Registers are read and written as the
// guest would, by their MSRs; a record can therefore do to a partition what its guest could, and no more.
//
//   in RAM       what SIM, SIEF, assist, hypercall and reference TSC pages show
//   in here      MSRs, what those pages cover, when timers are due
//   nowhere      what is on its way: a VP is saved when there is nothing (inbox, requests, interrupts in service, an intercept)

import { SINT_COUNT, STIMER_COUNT, SyntheticMsr } from '@guestyard/hvdef'

import type { LocalApic } from './apic.ts'
import type { InterceptSlot } from './intercepts/intercept-slot.ts'
import type { MsrValue } from './msr-value.ts'
import type { VpOverlays } from './overlays/vp-overlays.ts'
import { HYPERCALL_OVERLAY, REFERENCE_TSC_OVERLAY } from './overlays/partition-overlays.ts'
import type { PartitionRegisters } from './partition-registers.ts'
import type { Synic } from './synic/synic.ts'
import type { SavedTimer, SyntheticTimers } from './time/synthetic-timers.ts'
import type { VpAssist } from './vp-assist.ts'

/** Of the record. A change of its shape is another number. */
export const SAVED_VP_VERSION = 1

/** Plain data. */
export interface SavedVp {
  readonly version: number
  /** The order in which they are written. */
  readonly msrs: readonly SavedMsr[]
  readonly timers: readonly SavedTimer[]
  /** What overlays cover: 4096 bytes each, null where there is no overlay. */
  readonly covered: Readonly<Record<OverlayName, Uint8Array | null>>
}

export interface SavedMsr {
  readonly msr: number
  readonly low: number
  readonly high: number
}

export type OverlayName = 'sim' | 'sief' | 'assist' | 'hypercall' | 'referenceTsc'

/** The parts of a VP that its record is about. */
export interface SavedVpParts {
  readonly apic: LocalApic
  readonly synic: Synic
  readonly timers: SyntheticTimers
  readonly assist: VpAssist
  readonly partition: PartitionRegisters
  readonly intercept: InterceptSlot
  readonly overlays: VpOverlays
  /** Others have requested interrupts that it has not taken. */
  readonly hasInterrupts: boolean
  /** The summary of its inbox. */
  readonly inbox: number
  readMsr(msr: number, out: MsrValue): boolean
  writeMsr(msr: number, low: number, high: number): boolean
}

/** Pages before what is delivered into them, and the controller last: nothing is delivered before all of it is there. */
const MSRS: readonly number[] = [
  SyntheticMsr.GUEST_OS_ID,
  SyntheticMsr.HYPERCALL,
  SyntheticMsr.REFERENCE_TSC,
  SyntheticMsr.TSC_INVARIANT_CONTROL,
  SyntheticMsr.VP_ASSIST_PAGE,
  SyntheticMsr.SIMP,
  SyntheticMsr.SIEFP,
  ...Array.from({ length: SINT_COUNT }, (_, sint) => SyntheticMsr.SINT0 + sint),
  ...Array.from({ length: STIMER_COUNT * 2 }, (_, index) => {
    // A count that is written may start its timer, so the configuration has the last word.
    return SyntheticMsr.STIMER0_CONFIG + (index ^ 1)
  }),
  ...Array.from({ length: 5 }, (_, index) => SyntheticMsr.CRASH_P0 + index),
  SyntheticMsr.TPR,
  SyntheticMsr.SCONTROL,
]

const PAGE_WORDS = 1024

/** Null while something is on its way. */
export function saveVp(parts: SavedVpParts): SavedVp | null {
  if (!isQuiet(parts)) return null
  const value: MsrValue = { low: 0, high: 0 }
  const msrs: SavedMsr[] = []
  for (const msr of MSRS) {
    // A register that the partition has no privilege for was never written.
    if (parts.readMsr(msr, value)) msrs.push({ msr, low: value.low, high: value.high })
  }
  const { overlays } = parts
  return {
    version: SAVED_VP_VERSION,
    msrs,
    timers: parts.timers.save(),
    covered: {
      sim: bytesOf(overlays.sim.covered),
      sief: bytesOf(overlays.sief.covered),
      assist: bytesOf(overlays.assist.covered),
      hypercall: bytesOf(overlays.partition.covered(HYPERCALL_OVERLAY)),
      referenceTsc: bytesOf(overlays.partition.covered(REFERENCE_TSC_OVERLAY)),
    },
  }
}

/** False where the record is of another version, or says what no guest could have. The VP is not to be run then. */
export function restoreVp(parts: SavedVpParts, saved: SavedVp): boolean {
  if (saved.version !== SAVED_VP_VERSION) return false
  for (const { msr, low, high } of saved.msrs) {
    if (!MSRS.includes(msr) || !parts.writeMsr(msr, low, high)) return false
  }
  if (!parts.timers.restore(saved.timers)) return false
  const { overlays } = parts
  const { covered } = saved
  const adopted =
    adopts(covered.sim, (words) => overlays.sim.adopt(words)) &&
    adopts(covered.sief, (words) => overlays.sief.adopt(words)) &&
    adopts(covered.assist, (words) => overlays.assist.adopt(words)) &&
    adopts(covered.hypercall, (words) => overlays.partition.adopt(HYPERCALL_OVERLAY, words)) &&
    adopts(covered.referenceTsc, (words) => overlays.partition.adopt(REFERENCE_TSC_OVERLAY, words))
  // The page is of the time before: its next number tells a guest that is in the midst of reading it.
  parts.partition.refreshReferenceTsc()
  return adopted
}

function isQuiet({ apic, synic, assist, intercept, overlays, ...parts }: SavedVpParts): boolean {
  const { requested, inService, nmi } = apic.inspect()
  return (
    parts.inbox === 0 &&
    !parts.hasInterrupts &&
    synic.slots.waiting === 0 &&
    requested.length === 0 &&
    inService.length === 0 &&
    nmi === 'none' &&
    !assist.isOffered &&
    !intercept.isOpen &&
    !overlays.isWaiting
  )
}

function bytesOf(words: Int32Array<ArrayBuffer> | null): Uint8Array | null {
  return words === null ? null : new Uint8Array(words.buffer)
}

function adopts(bytes: Uint8Array | null, adopt: (words: Int32Array) => boolean): boolean {
  if (bytes === null) return true
  if (bytes.length !== PAGE_WORDS * 4) return false
  // A copy: a record's bytes begin anywhere.
  return adopt(new Int32Array(Uint8Array.from(bytes).buffer))
}
