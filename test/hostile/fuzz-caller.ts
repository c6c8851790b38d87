// Who makes the fuzzer's hypercalls: the root, and children that are booted. Each with its RAM, and what that must hold.

import { GuestMemory } from '@guestyard/guestmem'
import { PAGE_SIZE, SyntheticMsr, type PrivilegeMask } from '@guestyard/hvdef'
import { VirtualProcessor, type Hypervisor } from '@guestyard/hypervisor'

import { hold } from './fuzz-invariants.ts'

export const RAM_BYTES: number = 64 * 1024
export const RAM_PAGES: number = RAM_BYTES / PAGE_SIZE

export interface Caller {
  readonly isRoot: boolean
  /** Null for the root. */
  readonly partitionId: number | null
  readonly memory: GuestMemory
  /** What the RAM must hold. */
  readonly expected: Buffer
  readonly actual: Buffer
  call(low: number, high: number, registers: Int32Array): number
  callWithRegisters(low: number, high: number, registers: Int32Array): number
  readonly continuedHigh: number
}

interface Processor {
  hypercall(
    inLow: number,
    inHigh: number,
    p0Low: number,
    p0High: number,
    p1Low: number,
    p1High: number,
  ): number
  hypercallWithRegisters(inLow: number, inHigh: number, registers: Int32Array): number
}

export function callerOf(
  partitionId: number | null,
  memory: GuestMemory,
  processor: Processor,
  continued: () => number,
): Caller {
  const actual = Buffer.from(memory.buffer)
  return {
    isRoot: partitionId === null,
    partitionId,
    memory,
    actual,
    expected: Buffer.from(actual),
    call: (low, high, r) => processor.hypercall(low, high, r[0]!, r[1]!, r[2]!, r[3]!),
    callWithRegisters: (low, high, r) => processor.hypercallWithRegisters(low, high, r),
    get continuedHigh() {
      return continued()
    },
  }
}

/** All privileges but CpuManagement: with that one it would be a root. */
const ALMOST_ALL: PrivilegeMask = { low: 0xffff_ffff, high: (0xffff_ffff & ~(1 << 12)) >>> 0 }

/** A partition that is booted: its VP can call. A privileged one holds what children never have. */
export function bootedChild(
  hypervisor: Hypervisor,
  clock: { readonly nowMs: number; readonly now100ns: number },
  privileged: boolean,
): { readonly id: number; readonly vp: VirtualProcessor; readonly memory: GuestMemory } {
  const memory = GuestMemory.create({ sizeBytes: RAM_BYTES })
  const wake = { ring() {} }
  const created = hypervisor.createPartition({
    memory,
    vpCount: 1,
    wakeVp: [wake],
    ...(privileged ? { privileges: ALMOST_ALL } : {}),
  })
  hold(created.ok, 'there is room for the children')
  const handles = created.partition.handlesFor(0)!
  const vp = new VirtualProcessor(handles, { memory, wakeRoot: wake, clock })
  vp.writeMsr(SyntheticMsr.GUEST_OS_ID, 1, 0x8100_0000)
  vp.writeMsr(SyntheticMsr.HYPERCALL, PAGE_SIZE | 1, 0)
  vp.writeMsr(SyntheticMsr.SIMP, (2 * PAGE_SIZE) | 1, 0)
  vp.writeMsr(SyntheticMsr.SIEFP, (3 * PAGE_SIZE) | 1, 0)
  vp.writeMsr(SyntheticMsr.SINT0 + 2, 0xf3, 0)
  vp.writeMsr(SyntheticMsr.SCONTROL, 1, 0)
  return { id: created.partition.id, vp, memory }
}
