import { beforeEach, describe, expect, test } from 'vitest'
import { GuestMemory } from '@guestyard/guestmem'
import {
  HVCALL_SIGNAL_EVENT,
  HYPERCALL_FAST,
  HvStatus,
  MSR_PAGE_ENABLE,
  SyntheticMsr,
} from '@guestyard/hvdef'
import { Hypervisor, VirtualProcessor, type Partition } from '@guestyard/hypervisor'

import { InterruptRouter, PortIds, type BusInbox, VidPartition, WinHv } from '../src/index.ts'

class Inbox implements BusInbox {
  readonly messageUnits = 1
  acceptsMessages = true
  readonly signals: number[] = []
  readonly messages: number[][] = []

  receiveMessage(payload: Uint8Array, length: number): boolean {
    this.messages.push([...payload.subarray(0, length)])
    return true
  }

  receiveSignal(relid: number): void {
    this.signals.push(relid)
  }
}

const clock = { nowMs: 0, now100ns: 0 }
const silent = { ring: () => {} }

interface Guest {
  readonly partition: Partition
  readonly vp: VirtualProcessor
  readonly inbox: Inbox
  readonly router: InterruptRouter
}

describe('interrupt routing', () => {
  let hypervisor: Hypervisor
  let ids: PortIds

  beforeEach(() => {
    hypervisor = new Hypervisor({ clock })
    ids = new PortIds()
  })

  function guest(): Guest {
    const memory = GuestMemory.create({ sizeBytes: 1 << 20 })
    const created = hypervisor.createPartition({ memory, vpCount: 1, wakeVp: [silent] })
    if (!created.ok) throw new Error('no partition')
    const { partition } = created
    const vp = new VirtualProcessor(partition.handlesFor(0)!, { memory, wakeRoot: silent, clock })
    vp.writeMsr(SyntheticMsr.GUEST_OS_ID, 1, 0x8000_0000)
    vp.writeMsr(SyntheticMsr.HYPERCALL, 0x1000 | MSR_PAGE_ENABLE, 0)
    const inbox = new Inbox()
    return {
      partition,
      vp,
      inbox,
      router: new InterruptRouter(
        new WinHv(hypervisor),
        new VidPartition(partition.id, partition.vps.length, partition, new WinHv(hypervisor)),
        ids,
        inbox,
      ),
    }
  }

  function signal(from: Guest, connection: number): number {
    return from.vp.hypercall(HVCALL_SIGNAL_EVENT | HYPERCALL_FAST, 0, connection, 0, 0, 0)
  }

  test('a signal on a channel’s connection reaches that channel of that partition only', () => {
    const [a, b] = [guest(), guest()]
    const connection = a.router.connectChannel(7)
    b.router.connectChannel(7)
    expect(signal(a, connection)).toBe(HvStatus.SUCCESS)
    hypervisor.poll(64)
    expect(a.inbox.signals).toEqual([7])
    expect(b.inbox.signals).toEqual([])
  })

  test('a channel that is gone has no connection: signals on it get INVALID_CONNECTION_ID', () => {
    const a = guest()
    const connection = a.router.connectChannel(3)
    a.router.disconnectChannel(3)
    expect(signal(a, connection)).toBe(HvStatus.INVALID_CONNECTION_ID)
    hypervisor.poll(64)
    expect(a.inbox.signals).toEqual([])
  })

  test('ports and their ids are given back: ten thousand channels leave nothing behind', () => {
    const a = guest()
    const before = hypervisor.inspect().ports
    for (let round = 0; round < 10_000; round += 1) {
      a.router.connectChannel(1 + (round % 2047))
      a.router.disconnectChannel(1 + (round % 2047))
    }
    expect(hypervisor.inspect().ports).toBe(before)
    a.router.dispose()
    expect(hypervisor.inspect().ports).toBe(0)
    expect(ids.take()).toBeLessThan(4)
  })

  test('an interrupt for a guest whose SynIC is off is refused and counted', () => {
    const a = guest()
    expect(a.router.openInterrupt(5, 0).raise()).toBe(HvStatus.INVALID_SYNIC_STATE)
    expect(a.router.inspect()).toMatchObject({ raised: 0, refused: 1 })
  })
})
