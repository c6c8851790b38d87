/** A hypervisor with one guest, as the figures need it: its SynIC on, an event port of one flag, no bus. */

import assert from 'node:assert/strict'

import { GuestMemory } from '@guestyard/guestmem'
import { SyntheticMsr, connectionId, portId } from '@guestyard/hvdef'
import { Hypervisor, ROOT_PARTITION_ID, VirtualProcessor } from '@guestyard/hypervisor'
import type { Partition, VpHandles, Wake } from '@guestyard/hypervisor'
import type { MonotonicClock } from '@guestyard/engine'

export const SINT = 2
export const VECTOR = 0xf3
export const CONNECTION = 0x2001
const HYPERCALL_PAGE = 0x1000
const SIM_PAGE = 0x2000
export const SIEF_PAGE = 0x3000
const RAM_BYTES = 256 * 1024

export interface Yard {
  readonly hypervisor: Hypervisor
  readonly partition: Partition
  readonly handles: VpHandles
  readonly memory: GuestMemory
}

export function openYard(clock: MonotonicClock, wakeVp: Wake): Yard {
  const memory = GuestMemory.create({ sizeBytes: RAM_BYTES })
  const hypervisor = new Hypervisor({ clock })
  const created = hypervisor.createPartition({ memory, vpCount: 1, wakeVp: [wakeVp] })
  assert(created.ok, 'there is room for one partition')
  const { partition } = created
  const port = { owner: ROOT_PARTITION_ID, portId: portId(1), connectionPartition: partition.id }
  hypervisor.createEventPort({ ...port, flagCount: 1, target: { receiveSignal() {} } })
  hypervisor.connectPort(partition.id, connectionId(CONNECTION), port.portId)
  const handles = partition.handlesFor(0)
  assert(handles !== undefined, 'VP 0 is there')
  return { hypervisor, partition, handles, memory }
}

/** The VP on this thread, as a guest sets it up. */
export function bootVp(
  handles: VpHandles,
  memory: GuestMemory,
  wakeRoot: Wake,
  clock: MonotonicClock,
): VirtualProcessor {
  const vp = new VirtualProcessor(handles, { memory, wakeRoot, clock })
  const steps = [
    [SyntheticMsr.GUEST_OS_ID, 1, 0x8100_0000],
    [SyntheticMsr.HYPERCALL, HYPERCALL_PAGE | 1, 0],
    [SyntheticMsr.SIMP, SIM_PAGE | 1, 0],
    [SyntheticMsr.SIEFP, SIEF_PAGE | 1, 0],
    [SyntheticMsr.SINT0 + SINT, VECTOR, 0],
    [SyntheticMsr.SCONTROL, 1, 0],
  ] as const
  for (const [msr, low, high] of steps) assert(vp.writeMsr(msr, low, high))
  return vp
}
