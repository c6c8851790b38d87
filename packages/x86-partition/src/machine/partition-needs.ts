// What a partition has to be like for a machine guest to run in it. The host makes it so; whoever starts a machine guest tells it.

import type { ProcessorRooms } from '@guestyard/guestmem'
import { HvPrivilege, privilegeMask, type PrivilegeMask } from '@guestyard/hvdef'

import { RAM_BASE_PAGES } from '../processor/v86-contract.ts'

const PAGE = 65_536

/** RAM is a multiple of this. */
export const RAM_GRANULE_BYTES = 0x2_0000

/** The processor's own pages, and what its translator and its devices may come to need: 64 MiB, of which it touches a few. */
export const MACHINE_ROOMS: ProcessorRooms = {
  belowBytes: RAM_BASE_PAGES * PAGE,
  aboveBytes: 64 * 1024 * 1024,
}

/**
 * What children have, less what this processor can't keep: its APIC is its own (no APIC by MSR), it is alone (no start of others), and
 * its TSC is not shown as invariant, so that the reference TSC page is the clock.
 */
export const MACHINE_PRIVILEGES: PrivilegeMask = privilegeMask([
  HvPrivilege.ACCESS_VP_RUNTIME_REG,
  HvPrivilege.ACCESS_PARTITION_REFERENCE_COUNTER,
  HvPrivilege.ACCESS_SYNIC_REGS,
  HvPrivilege.ACCESS_SYNTHETIC_TIMER_REGS,
  HvPrivilege.ACCESS_HYPERCALL_MSRS,
  HvPrivilege.ACCESS_VP_INDEX,
  HvPrivilege.ACCESS_PARTITION_REFERENCE_TSC,
  HvPrivilege.ACCESS_FREQUENCY_REGS,
  HvPrivilege.POST_MESSAGES,
  HvPrivilege.SIGNAL_EVENTS,
])
