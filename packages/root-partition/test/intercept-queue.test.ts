// Exits of a VP on their way to the owner of the device, and back with the value.

import { beforeEach, describe, expect, test } from 'vitest'
import { ManualClock } from '@guestyard/engine'
import { GuestMemory } from '@guestyard/guestmem'
import { HvStatus } from '@guestyard/hvdef'
import { InterceptRegister, VirtualProcessor } from '@guestyard/hypervisor'
import fc from 'fast-check'

import { RootPartition, type ExitOwner, type InterceptQueue, type VpExit } from '../src/index.ts'
import { ExitMailbox } from '../src/vid/index.ts'
import { accessOf } from '../src/vid/vp-exit.ts'

const RAM = 2 * 1024 * 1024
const MMIO = 0xfed0_0000
/** Words of a VP page: the message of an intercept, and the registers of its answer. */
const [MESSAGE_AT, ANSWER_AT] = [320, 192]

class Owner implements ExitOwner {
  readonly exits: VpExit[] = []

  take(exit: VpExit): void {
    this.exits.push(exit)
  }

  get latest(): VpExit {
    return this.exits.at(-1)!
  }
}

describe('exits', () => {
  let root: RootPartition
  let vp: VirtualProcessor
  let queue: InterceptQueue
  let page: Int32Array
  let id: number

  beforeEach(() => {
    const clock = new ManualClock()
    root = new RootPartition({
      clock,
      clockOriginMs: 0,
      logicalProcessors: 1,
      openDoorbells: () => ({
        vp: { ring: () => {} },
        vpBuffer: new SharedArrayBuffer(64),
        rootBuffer: new SharedArrayBuffer(64),
      }),
      closeDoorbells: () => {},
      onBusEvent: () => {},
    })
    const created = root.createPartition({ name: 'x', memoryBytes: RAM, vpCount: 1, weight: 100 })
    if (!created.ok) throw new Error(created.reason)
    id = created.start.partitionId
    queue = root.interceptsOf(id)!
    const { handles } = created.start.vps[0]!
    page = new Int32Array(handles.vpPage)
    const wakeRoot = { ring: () => {} }
    const memory = GuestMemory.attach(created.start.memory)
    vp = new VirtualProcessor(handles, { memory, wakeRoot, clock })
  })

  const value = (low: number, high = 0) => ({ kind: 'value', low, high }) as const

  test('a port read reaches its owner and comes back with the value, of as many bytes as it asked for', () => {
    const owner = new Owner()
    expect(queue.ownPorts(0x3f8, 8, owner)).toBe(HvStatus.SUCCESS)
    expect(vp.intercepts.beginPortIn(0x3fd, 1)).toBe('suspended')
    expect(vp.isSuspended).toBe(true)
    root.poll(8)
    expect(owner.latest).toMatchObject({
      partitionId: id,
      vp: 0,
      access: { kind: 'port', isWrite: false, port: 0x3fd, size: 1 },
    })
    expect(vp.intercepts.state).toBe('suspended')
    expect(queue.complete(0, owner.latest.sequence, value(0x1_60))).toBe(true)
    expect(vp.intercepts.finish()).toBe('done')
    expect([vp.intercepts.value.low, vp.isSuspended]).toEqual([0x60, false])
  })

  test('a VP goes on behind its instruction, though that crosses into the high half of the address', () => {
    const owner = new Owner()
    queue.ownPorts(0x3f8, 8, owner)
    vp.intercepts.beginPortIn(0x3fd, 1)
    const [rip, answer] = [MESSAGE_AT + 10, ANSWER_AT + InterceptRegister.RIP * 2]
    // An instruction of two bytes.
    page[MESSAGE_AT + 5] = 2
    page[rip] = -1
    page[rip + 1] = 0x7fff
    root.poll(8)
    queue.complete(0, owner.latest.sequence, value(0))
    expect([page[answer], page[answer + 1]]).toEqual([1, 0x8000])
  })

  test('a port write carries its value, and goes on when it is answered', () => {
    const owner = new Owner()
    queue.ownPorts(0x80, 1, owner)
    expect(vp.intercepts.beginPortOut(0x80, 1, 0x1a5)).toBe('suspended')
    root.poll(8)
    expect(owner.latest.access).toEqual({
      kind: 'port',
      isWrite: true,
      port: 0x80,
      size: 1,
      low: 0xa5,
      high: 0,
    })
    queue.complete(0, owner.latest.sequence, value(0))
    expect(vp.intercepts.finish()).toBe('done')
  })

  test('loads and stores of device memory reach the owner of the range', () => {
    const owner = new Owner()
    expect(queue.ownMemory(MMIO, 0x1000, owner)).toBe(HvStatus.SUCCESS)
    expect(vp.intercepts.beginMemoryRead(MMIO + 8, 8)).toBe('suspended')
    root.poll(8)
    expect(owner.latest.access).toMatchObject({
      kind: 'memory',
      isWrite: false,
      gpa: MMIO + 8,
      size: 8,
    })
    queue.complete(0, owner.latest.sequence, value(0x1234_5678, 0x9abc_def0))
    expect(vp.intercepts.finish()).toBe('done')
    expect(vp.intercepts.value).toEqual({ low: 0x1234_5678, high: 0x9abc_def0 })

    expect(vp.intercepts.beginMemoryWrite(MMIO + 0xffc, 4, 0xdead_beef, 0)).toBe('suspended')
    root.poll(8)
    expect(owner.latest.access).toMatchObject({
      isWrite: true,
      gpa: MMIO + 0xffc,
      low: 0xdead_beef,
    })
    queue.complete(0, owner.latest.sequence, value(0))
    expect(vp.intercepts.finish()).toBe('done')
    // Four bytes from here on would end behind the range: nobody's.
    expect(vp.intercepts.beginMemoryRead(MMIO + 0xffe, 4)).toBe('suspended')
    root.poll(8)
    expect(vp.intercepts.finish()).toBe('done')
    expect(vp.intercepts.value.low).toBe(0xffff_ffff)
    expect(queue.inspect()).toMatchObject({ owned: 2, unowned: 1, waiting: 0 })
  })

  test('ports, ranges, MSRs and leaves have one owner each, and RAM is nobody’s device', () => {
    const owner = new Owner()
    expect(queue.ownPorts(0x60, 5, owner)).toBe(HvStatus.SUCCESS)
    expect(queue.ownPorts(0x64, 1, owner)).toBe(HvStatus.OBJECT_IN_USE)
    expect(queue.ownPorts(0xffff, 2, owner)).toBe(HvStatus.INVALID_PARAMETER)
    expect(queue.ownPorts(-1, 1, owner)).toBe(HvStatus.INVALID_PARAMETER)
    expect(queue.ownMemory(MMIO, 16, owner)).toBe(HvStatus.SUCCESS)
    expect(queue.ownMemory(MMIO + 15, 16, owner)).toBe(HvStatus.OBJECT_IN_USE)
    expect(queue.ownMemory(RAM - 1, 16, owner)).toBe(HvStatus.OBJECT_IN_USE)
    expect(queue.ownMemory(Number.NaN, 16, owner)).toBe(HvStatus.INVALID_PARAMETER)
    expect([queue.ownMsrs(owner), queue.ownMsrs(owner)]).toEqual([0, HvStatus.OBJECT_IN_USE])
    expect([queue.ownLeaf(7, owner), queue.ownLeaf(7, owner)]).toEqual([0, HvStatus.OBJECT_IN_USE])
  })

  test('MSRs that the hypervisor does not have, and CPUID leaves, are answered by their owner', () => {
    const owner = new Owner()
    expect(vp.intercepts.beginMsrRead(0x1b)).toBe('fault')
    queue.ownMsrs(owner)
    queue.ownLeaf(0x4000_0001, owner)
    expect(vp.intercepts.beginMsrRead(0x1b)).toBe('suspended')
    root.poll(8)
    expect(owner.latest.access).toMatchObject({ kind: 'msr', isWrite: false, msr: 0x1b })
    queue.complete(0, owner.latest.sequence, value(0xfee0_0900, 1))
    vp.intercepts.finish()
    expect(vp.intercepts.value).toEqual({ low: 0xfee0_0900, high: 1 })
    expect(vp.intercepts.beginCpuid(0x4000_0001, 0)).toBe('suspended')
    root.poll(8)
    expect(owner.latest.access).toMatchObject({ kind: 'cpuid', leaf: 0x4000_0001 })
    queue.complete(0, owner.latest.sequence, { kind: 'leaf', eax: 1, ebx: 2, ecx: 3, edx: 4 })
    vp.intercepts.finish()
    expect(vp.intercepts.leaf).toEqual({ eax: 1, ebx: 2, ecx: 3, edx: 4 })
  })

  test('an owner may answer with an exception', () => {
    const owner = new Owner()
    queue.ownMsrs(owner)
    vp.intercepts.beginMsrWrite(0x1b, 1, 2)
    root.poll(8)
    queue.complete(0, owner.latest.sequence, { kind: 'exception', vector: 13, errorCode: 0 })
    expect([vp.intercepts.finish(), vp.intercepts.exception]).toEqual(['fault', 13])
  })

  test('an owner that goes lets its VPs go on with all ones', () => {
    const owner = new Owner()
    queue.ownPorts(0x60, 1, owner)
    vp.intercepts.beginPortIn(0x60, 2)
    root.poll(8)
    queue.disown(owner)
    expect(vp.intercepts.finish()).toBe('done')
    expect(vp.intercepts.value.low).toBe(0xffff)
    // The port is not intercepted any more: no exit, the same answer.
    expect(vp.intercepts.beginPortIn(0x60, 1)).toBe('done')
    expect(vp.intercepts.value.low).toBe(0xff)
  })

  test('a second answer, one to another exit and one to nobody are counted and change nothing', () => {
    const owner = new Owner()
    queue.ownPorts(0x60, 1, owner)
    vp.intercepts.beginPortIn(0x60, 1)
    root.poll(8)
    const { sequence } = owner.latest
    expect(queue.complete(0, sequence + 1, value(1))).toBe(false)
    expect(queue.complete(1, sequence, value(1))).toBe(false)
    expect(vp.intercepts.state).toBe('suspended')
    expect(queue.complete(0, sequence, value(2))).toBe(true)
    expect(queue.complete(0, sequence, value(3))).toBe(false)
    expect(queue.inspect().stale).toBe(3)
    vp.intercepts.finish()
    expect(vp.intercepts.value.low).toBe(2)
  })

  test('a mailbox hands over what has come when it is asked, and nothing once its partition is gone', async () => {
    const mailbox = new ExitMailbox()
    queue.ownPorts(0x60, 1, mailbox)
    const first = mailbox.next()
    vp.intercepts.beginPortIn(0x60, 1)
    root.poll(8)
    expect((await first).map((exit) => exit.access.kind)).toEqual(['port'])
    const second = mailbox.next()
    void root.deletePartition(id)
    mailbox.close()
    expect(await second).toEqual([])
    expect(await mailbox.next()).toEqual([])
  })
})

test('any message has an access, and nothing in one makes the root throw', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 256, maxLength: 256 }),
      fc.constantFrom(0x8000_0000, 0x8000_0001, 0x8001_0000, 0x8001_0001, 0x8001_0002, 0),
      (bytes, type) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset, 256)
        view.setUint32(0, type, true)
        const access = accessOf(view, { low: 1, high: 2 })
        expect(['port', 'memory', 'msr', 'cpuid', 'other']).toContain(access.kind)
        if (access.kind === 'port') expect(access.port).toBeLessThan(0x1_0000)
      },
    ),
  )
})
