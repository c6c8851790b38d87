import { describe, expect, test } from 'vitest'
import { GuestMemory } from '@guestyard/guestmem'
import { HvPrivilege, MSR_SINT0, SyntheticMsr, VMBUS_SINT, privilegeMask } from '@guestyard/hvdef'
import { DEFAULT_CHILD_PRIVILEGES, Hypervisor, VirtualProcessor } from '@guestyard/hypervisor'

import { enlighten, Kernel, KernelPage } from '../src/index.ts'

const clock = { nowMs: 0, now100ns: 0 }
const silent = { ring: () => {} }

function processor(privileges = DEFAULT_CHILD_PRIVILEGES) {
  const memory = GuestMemory.create({ sizeBytes: 1 << 20 })
  const hypervisor = new Hypervisor({ clock })
  const created = hypervisor.createPartition({
    memory,
    vpCount: 1,
    privileges,
    wakeVp: [silent],
  })
  if (!created.ok) throw new Error('no partition')
  const { id } = created.partition
  const vp = new VirtualProcessor(created.partition.handlesFor(0)!, {
    memory,
    wakeRoot: silent,
    clock,
  })
  return { hypervisor, id, memory, vp }
}

describe('the kernel finding its hypervisor', () => {
  test('it leaves every register as a stock guest would: OS id, hypercall page, SIM, SIEF, SINT 2, SynIC on', () => {
    const { vp } = processor()
    expect(enlighten(vp)).toEqual({ ok: true, vendor: 'Microsoft Hv', vpIndex: 0 })
    const read = (msr: number): number => (vp.readMsr(msr, vp.msr) ? vp.msr.low >>> 0 : -1)
    expect(read(SyntheticMsr.GUEST_OS_ID)).not.toBe(0)
    expect(read(SyntheticMsr.HYPERCALL)).toBe((KernelPage.HYPERCALL << 12) | 1)
    expect(read(SyntheticMsr.SIMP)).toBe((KernelPage.SIM << 12) | 1)
    expect(read(SyntheticMsr.SIEFP)).toBe((KernelPage.SIEF << 12) | 1)
    expect(read(MSR_SINT0 + VMBUS_SINT)).toBe(0xf3)
    expect(read(SyntheticMsr.SCONTROL)).toBe(1)
  })

  test('a partition that may not post messages is told which privilege is missing', () => {
    const { vp } = processor(
      privilegeMask([
        HvPrivilege.ACCESS_HYPERCALL_MSRS,
        HvPrivilege.ACCESS_VP_INDEX,
        HvPrivilege.ACCESS_SYNIC_REGS,
        HvPrivilege.SIGNAL_EVENTS,
      ]),
    )
    expect(enlighten(vp)).toEqual({
      ok: false,
      reason: `the partition lacks privilege bit ${HvPrivilege.POST_MESSAGES}`,
    })
  })
})

describe('the kernel and its grant', () => {
  test('without a grant no guest code runs, yet a ping is answered; with one it polls', () => {
    const { hypervisor, id, memory, vp } = processor()
    const kernel = new Kernel({
      vp,
      memory,
      placement: 'contiguous',
      clock,
      onBusEvent: () => {},
      wake: () => {},
    })
    kernel.start()
    hypervisor.ping(id, 0)
    expect(kernel.poll(64)).toBe(0)
    expect(kernel.pollsWithoutGrant).toBe(1)
    expect(hypervisor.answered(id, 0)).toBe(true)

    hypervisor.grant(id, 0, 0)
    kernel.poll(64)
    expect(kernel.pollsWithoutGrant).toBe(1)

    hypervisor.revokeGrant(id, 0)
    kernel.poll(64)
    expect(kernel.pollsWithoutGrant).toBe(2)
  })
})

describe('the kernel and its timers', () => {
  test('a synthetic timer is the kernel’s deadline, and fires in the poll that meets it', () => {
    const { hypervisor, id, memory, vp } = processor()
    const kernel = new Kernel({
      vp,
      memory,
      placement: 'contiguous',
      clock: { nowMs: 0 },
      onBusEvent: () => {},
      wake: () => {},
    })
    hypervisor.grant(id, 0, 0)
    expect(kernel.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
    // Direct mode, vector 0x41, enabled: due at 25,000 units of 100 ns.
    vp.writeMsr(SyntheticMsr.STIMER0_CONFIG, 0x1411, 0)
    vp.writeMsr(SyntheticMsr.STIMER0_COUNT, 25_000, 0)
    expect(kernel.nextDeadlineMs()).toBe(2.5)
    clock.now100ns = 25_000
    kernel.poll(64)
    clock.now100ns = 0
    expect([kernel.strayInterrupts, kernel.nextDeadlineMs()]).toEqual([1, Number.POSITIVE_INFINITY])
  })
})
