// A partition with its routes and booted VPs, in one thread, and what a kernel does with an interrupt.

import assert from 'node:assert/strict'

import { GuestMemory } from '@guestyard/guestmem'
import { SyntheticMsr } from '@guestyard/hvdef'
import { Hypervisor, VirtualProcessor, type Partition } from '@guestyard/hypervisor'

import { InterruptRouter, PortIds, VidPartition, WinHv } from '../../src/index.ts'

const RAM_BYTES = 256 * 1024
const PAGE = 4096
export const SINT_VECTOR = 0x50

const silent = { ring: () => {} }
const clock = { nowMs: 0, now100ns: 0 }

/** SIM, SIEF, SINT 2 and the controller of one VP. */
export function enableSynic(vp: VirtualProcessor): void {
  const simGpa = (8 + 2 * vp.vpIndex) * PAGE
  assert(vp.writeMsr(SyntheticMsr.SIMP, simGpa | 1, 0))
  assert(vp.writeMsr(SyntheticMsr.SIEFP, (simGpa + PAGE) | 1, 0))
  assert(vp.writeMsr(SyntheticMsr.SINT0 + 2, SINT_VECTOR, 0))
  assert(vp.writeMsr(SyntheticMsr.SCONTROL, 1, 0))
}

/** Clears flag `relid` of SINT 2 in the SIEF page; true when it was set. */
export function takeFlag(memory: GuestMemory, vp: number, relid: number): boolean {
  const word = ((9 + 2 * vp) * PAGE + 2 * 256) / 4 + (relid >>> 5)
  const bit = 1 << (relid & 31)
  return (Atomics.and(memory.i32, word, ~bit) & bit) !== 0
}

export class InterruptGuest {
  readonly memory: GuestMemory
  readonly partition: Partition
  readonly router: InterruptRouter
  readonly vps: readonly VirtualProcessor[]
  readonly hypervisor: Hypervisor

  /** `memory` to use again, where a test makes many guests. */
  constructor(vpCount: number, memory = InterruptGuest.memory()) {
    memory.u8.fill(0)
    this.memory = memory
    this.hypervisor = new Hypervisor({ clock })
    const created = this.hypervisor.createPartition({
      memory,
      vpCount,
      wakeVp: Array.from({ length: vpCount }, () => silent),
      listener: {
        queueSpace: () => {},
        interruptEnded: (vp, vector) => this.router.ended(vp, vector),
      },
    })
    assert(created.ok)
    this.partition = created.partition
    this.router = new InterruptRouter(
      new WinHv(this.hypervisor),
      new VidPartition(
        this.partition.id,
        this.partition.vps.length,
        this.partition,
        new WinHv(this.hypervisor),
      ),
      new PortIds(),
      {
        acceptsMessages: true,
        receiveMessage: () => true,
        messageUnits: 1,
        receiveSignal: () => {},
      },
    )
    this.vps = Array.from({ length: vpCount }, (_, vp) => {
      const handles = this.partition.handlesFor(vp)
      assert(handles !== undefined)
      return new VirtualProcessor(handles, { memory, wakeRoot: silent, clock })
    })
    for (const vp of this.vps) enableSynic(vp)
  }

  static memory(): GuestMemory {
    return GuestMemory.create({ sizeBytes: RAM_BYTES })
  }

  /** The VP takes one interrupt, handles and ends it. Its vector, or -1 when there was none. */
  take(vp: number, handle: (vector: number) => void = () => {}): number {
    const processor = this.vps[vp]!
    const vector = processor.deliver()
    if (vector < 0) return -1
    processor.acknowledge(vector)
    handle(vector)
    processor.endOfInterrupt()
    return vector
  }

  /** Every interrupt that waits, as [vp, vector]; the root hears of each end before the next. */
  takeAll(limit = 100): number[][] {
    const taken: number[][] = []
    for (let progress = true; progress && taken.length < limit;) {
      progress = false
      for (let vp = 0; vp < this.vps.length; vp += 1) {
        const vector = this.take(vp)
        if (vector < 0) continue
        taken.push([vp, vector])
        progress = true
        this.hypervisor.poll(64)
      }
    }
    return taken
  }
}
