import {
  CpuidIntercept,
  HvInterceptAccess,
  HvInterceptType,
  HvMessageHeader,
  HvMessageType,
  HvStatus,
  IoPortIntercept,
  MemoryIntercept,
  MsrIntercept,
  SyntheticMsr,
} from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { GENERAL_PROTECTION, InterceptRegister } from '../src/index.ts'
import { InterceptInbox, InterceptSlot } from '../src/intercepts/intercept-slot.ts'
import {
  INTERCEPT_RAISED,
  OUTBOX_INTERCEPT,
  OUTBOX_SUMMARY,
  VP_PAGE_BYTES,
} from '../src/vp-page.ts'
import { Guest, RAM_BYTES, VECTOR } from './guest.ts'

const { READ, WRITE, EXECUTE } = HvInterceptAccess
const COM1 = 0x3f8
const MMIO = RAM_BYTES + 0x100

interface Owner {
  readonly guest: Guest
  readonly taken: { vp: number; type: number; payload: DataView }[]
}

/** A guest whose owner keeps every intercept and answers none by itself. */
function owned(vpCount = 1): Owner {
  const taken: Owner['taken'] = []
  const guest = new Guest({
    vpCount,
    listener: {
      queueSpace() {},
      intercept(vp, message) {
        const copy = message.slice()
        const type = new DataView(copy.buffer).getUint32(0, true)
        taken.push({ vp, type, payload: new DataView(copy.buffer, HvMessageHeader.size) })
      },
    },
  }).boot()
  return { guest, taken }
}

describe('a port access', () => {
  test('that nobody intercepts reads all ones of its size, and a write is nothing', () => {
    const { guest, taken } = owned()
    const { intercepts } = guest.vp
    for (const [size, ones] of [
      [1, 0xff],
      [2, 0xffff],
      [4, 0xffff_ffff],
    ] as const) {
      expect(intercepts.beginPortIn(COM1, size)).toBe('done')
      expect(intercepts.value).toEqual({ low: ones, high: 0 })
    }
    expect(intercepts.beginPortOut(COM1, 1, 0x41)).toBe('done')
    guest.hypervisor.poll(10)
    expect(taken).toEqual([])
  })

  test('that is intercepted suspends the VP until its owner has answered, and comes back with the value', () => {
    const { guest, taken } = owned()
    const { intercepts } = guest.vp
    guest.partition.installIntercept(HvInterceptType.IO_PORT, READ, COM1 + 5)
    expect(intercepts.beginPortIn(COM1 + 5, 1)).toBe('suspended')
    expect([intercepts.state, guest.vp.isSuspended]).toEqual(['suspended', true])
    expect(intercepts.finish()).toBe('suspended')
    guest.hypervisor.poll(10)
    expect(taken).toHaveLength(1)
    expect(taken[0]!.type).toBe(HvMessageType.X64_IO_PORT_INTERCEPT)
    const message = IoPortIntercept.decode(taken[0]!.payload)
    expect(message).toMatchObject({ portNumber: COM1 + 5, accessInfo: 1 })
    expect(message.header).toMatchObject({ vpIndex: 0, interceptAccess: 0 })
    guest.partition.vps[0]!.intercept.setRegister(InterceptRegister.RAX, 0x1_60, 7)
    expect(guest.partition.completeIntercept(0)).toBe(HvStatus.SUCCESS)
    expect(intercepts.state).toBe('answered')
    expect(intercepts.finish()).toBe('done')
    expect(intercepts.value).toEqual({ low: 0x60, high: 0 })
    expect([intercepts.state, guest.vp.isSuspended]).toEqual(['none', false])
  })

  test('that is a write carries its value in RAX, by message and by register', () => {
    const { guest, taken } = owned()
    guest.partition.installIntercept(HvInterceptType.IO_PORT, WRITE, COM1)
    expect(guest.vp.intercepts.beginPortIn(COM1, 1)).toBe('done')
    expect(guest.vp.intercepts.beginPortOut(COM1, 2, 0xbeef)).toBe('suspended')
    guest.hypervisor.poll(10)
    const message = IoPortIntercept.decode(taken[0]!.payload)
    expect(message).toMatchObject({ portNumber: COM1, accessInfo: 2, rax: 0xbeefn })
    expect(message.header.interceptAccess).toBe(1)
    expect(guest.partition.vps[0]!.intercept.low(InterceptRegister.RAX)).toBe(0xbeef)
  })

  test('an owner that is not there answers at once with nothing', () => {
    const guest = new Guest().boot()
    guest.partition.installIntercept(HvInterceptType.IO_PORT, READ | WRITE, COM1)
    expect(guest.vp.intercepts.beginPortIn(COM1, 1)).toBe('suspended')
    guest.hypervisor.poll(10)
    expect(guest.vp.intercepts.finish()).toBe('done')
    expect(guest.vp.intercepts.value.low).toBe(0xff)
  })
})

describe('an access to memory', () => {
  test('in RAM is done at once', () => {
    const { guest } = owned()
    const { intercepts } = guest.vp
    for (const size of [1, 2, 4, 8] as const) {
      expect(intercepts.beginMemoryWrite(0x9000, size, 0x8765_4321, 0x0fed_cba9)).toBe('done')
      expect(intercepts.beginMemoryRead(0x9000, size)).toBe('done')
      const low = size === 1 ? 0x21 : size === 2 ? 0x4321 : 0x8765_4321
      expect(intercepts.value).toEqual({ low, high: size === 8 ? 0x0fed_cba9 : 0 })
    }
  })

  test('outside RAM is an unmapped-GPA intercept, whose instruction says size and direction', () => {
    const { guest, taken } = owned()
    const { intercepts } = guest.vp
    expect(intercepts.beginMemoryRead(MMIO, 4)).toBe('suspended')
    guest.hypervisor.poll(10)
    const message = MemoryIntercept.decode(taken[0]!.payload)
    expect(taken[0]!.type).toBe(HvMessageType.UNMAPPED_GPA)
    expect(message).toMatchObject({ gpa: BigInt(MMIO), instructionByteCount: 2 })
    expect([...message.instructionBytes.subarray(0, 2)]).toEqual([0x8b, 0x03])
    guest.partition.vps[0]!.intercept.setRegister(InterceptRegister.RAX, 0xcafe, 0)
    guest.partition.completeIntercept(0)
    expect(intercepts.finish()).toBe('done')
    expect(intercepts.value.low).toBe(0xcafe)

    expect(intercepts.beginMemoryWrite(MMIO, 1, 0x5a, 0)).toBe('suspended')
    guest.hypervisor.poll(10)
    const store = MemoryIntercept.decode(taken[1]!.payload)
    expect([...store.instructionBytes.subarray(0, 2)]).toEqual([0x88, 0x03])
    expect(store.header.interceptAccess).toBe(1)
    expect(guest.partition.vps[0]!.intercept.low(InterceptRegister.RAX)).toBe(0x5a)
    expect(guest.partition.vps[0]!.intercept.low(InterceptRegister.RBX)).toBe(MMIO)
  })
})

test('intercepts are counted by kind as the root takes them', () => {
  const { guest } = owned()
  const { intercepts } = guest.vp
  const take = (outcome: string): void => {
    expect(outcome).toBe('suspended')
    guest.hypervisor.poll(10)
    guest.partition.completeIntercept(0)
    expect(intercepts.finish()).toBe('done')
  }
  guest.partition.installIntercept(HvInterceptType.IO_PORT, READ | WRITE, COM1)
  guest.partition.installIntercept(HvInterceptType.CPUID, EXECUTE, 1)
  take(intercepts.beginPortIn(COM1, 1))
  take(intercepts.beginPortOut(COM1, 1, 7))
  take(intercepts.beginMemoryRead(MMIO, 4))
  take(intercepts.beginCpuid(1, 0))
  expect(guest.partition.vps[0]!.counters()).toMatchObject({
    intercepts: 4,
    ioInterceptMessages: 2,
    memoryInterceptMessages: 1,
    otherMessages: 1,
  })
})

describe('the SLAT decides what an access to memory meets', () => {
  const PAGE = 12
  const GPA = PAGE * 4096 + 8

  test('device registers and missing rights are GPA intercepts, a page with nothing an unmapped one', () => {
    const { guest, taken } = owned()
    const { intercepts } = guest.vp
    const { slat } = guest.partition
    const typeOf = (outcome: string): number => {
      expect(outcome).toBe('suspended')
      guest.hypervisor.poll(10)
      guest.partition.completeIntercept(0)
      expect(intercepts.finish()).toBe('done')
      return taken.at(-1)!.type
    }
    slat.mapMmio(PAGE, 1, 3)
    expect(typeOf(intercepts.beginMemoryRead(GPA, 4))).toBe(HvMessageType.GPA_INTERCEPT)
    expect(typeOf(intercepts.beginMemoryWrite(GPA, 4, 1, 0))).toBe(HvMessageType.GPA_INTERCEPT)
    slat.unmap(PAGE, 1)
    expect(typeOf(intercepts.beginMemoryRead(GPA, 4))).toBe(HvMessageType.UNMAPPED_GPA)
    // Read only, and another page of RAM beneath.
    slat.mapRam(PAGE, 20, 1, 1)
    guest.memory.view.setUint32(20 * 4096 + 8, 0xabcd, true)
    expect(intercepts.beginMemoryRead(GPA, 4)).toBe('done')
    expect(intercepts.value.low).toBe(0xabcd)
    expect(typeOf(intercepts.beginMemoryWrite(GPA, 4, 1, 0))).toBe(HvMessageType.GPA_INTERCEPT)
    expect(guest.memory.view.getUint32(20 * 4096 + 8, true)).toBe(0xabcd)
    // Across the edge of two pages that do not follow each other in RAM.
    expect(typeOf(intercepts.beginMemoryRead(PAGE * 4096 - 2, 4))).toBe(HvMessageType.GPA_INTERCEPT)
  })

  test.each([-1, 2 ** 40, Number.NaN, 1.5e300])('a load at %d is nothing’s', (gpa) => {
    const { guest } = owned()
    expect(guest.vp.intercepts.beginMemoryRead(gpa, 8)).toBe('suspended')
  })
})

describe('an MSR that the hypervisor has no row for', () => {
  const APIC_BASE = 0x1b

  test('is #GP, unless the owner asked for it', () => {
    const { guest, taken } = owned()
    const { intercepts } = guest.vp
    expect(intercepts.beginMsrRead(APIC_BASE)).toBe('fault')
    expect(intercepts.beginMsrWrite(APIC_BASE, 1, 2)).toBe('fault')
    expect(intercepts.exception).toBe(GENERAL_PROTECTION)
    expect(intercepts.beginMsrRead(SyntheticMsr.VP_INDEX)).toBe('done')
    guest.partition.installIntercept(HvInterceptType.MSR, READ, 0)
    expect(intercepts.beginMsrWrite(APIC_BASE, 1, 2)).toBe('fault')
    expect(intercepts.beginMsrRead(APIC_BASE)).toBe('suspended')
    guest.hypervisor.poll(10)
    expect(taken[0]!.type).toBe(HvMessageType.X64_MSR_INTERCEPT)
    expect(MsrIntercept.decode(taken[0]!.payload).msrNumber).toBe(APIC_BASE)
    guest.partition.vps[0]!.intercept.setRegister(InterceptRegister.RAX, 0xfee0_0900, 0)
    guest.partition.vps[0]!.intercept.setRegister(InterceptRegister.RDX, 3, 0)
    guest.partition.completeIntercept(0)
    expect(intercepts.finish()).toBe('done')
    expect(intercepts.value).toEqual({ low: 0xfee0_0900, high: 3 })
  })

  test('may be answered with an exception', () => {
    const { guest } = owned()
    const { intercepts } = guest.vp
    guest.partition.installIntercept(HvInterceptType.MSR, READ | WRITE, 0)
    expect(intercepts.beginMsrWrite(APIC_BASE, 1, 2)).toBe('suspended')
    guest.hypervisor.poll(10)
    guest.partition.vps[0]!.intercept.setException(GENERAL_PROTECTION, 0)
    guest.partition.completeIntercept(0)
    expect(intercepts.finish()).toBe('fault')
    expect(intercepts.exception).toBe(GENERAL_PROTECTION)
    expect(intercepts.beginMsrWrite(APIC_BASE, 1, 2)).toBe('suspended')
    guest.hypervisor.poll(10)
    guest.partition.completeIntercept(0)
    expect(intercepts.finish()).toBe('done')
  })
})

describe('CPUID', () => {
  test('of an intercepted leaf goes to the owner with the hypervisor’s own answer as default', () => {
    const { guest, taken } = owned()
    const { intercepts } = guest.vp
    expect(intercepts.beginCpuid(0x4000_0001, 0)).toBe('done')
    expect(intercepts.leaf.eax).toBe(0x3123_7648)
    guest.partition.installIntercept(HvInterceptType.CPUID, EXECUTE, 0x4000_0001)
    expect(intercepts.beginCpuid(0x4000_0001, 6)).toBe('suspended')
    guest.hypervisor.poll(10)
    expect(CpuidIntercept.decode(taken[0]!.payload)).toMatchObject({
      rax: 0x4000_0001n,
      rcx: 6n,
      defaultRax: 0x3123_7648n,
    })
    guest.partition.vps[0]!.intercept.setRegister(InterceptRegister.RDX, 9, 0)
    guest.partition.completeIntercept(0)
    expect(intercepts.finish()).toBe('done')
    expect(intercepts.leaf).toEqual({ eax: 0x3123_7648, ebx: 0, ecx: 0, edx: 9 })
    guest.partition.installIntercept(HvInterceptType.CPUID, 0, 0x4000_0001)
    expect(intercepts.beginCpuid(0x4000_0001, 0)).toBe('done')
  })

  test('holds sixteen leaves and refuses the seventeenth', () => {
    const { guest } = owned()
    const install = (leaf: number) =>
      guest.partition.installIntercept(HvInterceptType.CPUID, EXECUTE, leaf)
    for (let leaf = 0; leaf < 16; leaf++) expect(install(leaf)).toBe(HvStatus.SUCCESS)
    expect(install(3)).toBe(HvStatus.SUCCESS)
    expect(install(16)).toBe(HvStatus.NO_RESOURCES)
  })
})

describe('InstallIntercept', () => {
  test.each([
    ['a type no VP meets', 4, READ, 0],
    ['port 65536', HvInterceptType.IO_PORT, READ, 65536],
    ['execution of a port', HvInterceptType.IO_PORT, EXECUTE, 1],
    ['execution of an MSR', HvInterceptType.MSR, EXECUTE, 0],
    ['a write of CPUID', HvInterceptType.CPUID, WRITE, 1],
  ])('of %s is INVALID_PARAMETER', (_, type, mask, parameter) => {
    const { guest } = owned()
    expect(guest.partition.installIntercept(type, mask, parameter)).toBe(HvStatus.INVALID_PARAMETER)
  })

  test('replaces the mask of one port and leaves its neighbours alone', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 3 }))),
        (installs) => {
          const { guest } = owned()
          const expected = new Map<number, number>()
          for (const [port, mask] of installs) {
            guest.partition.installIntercept(HvInterceptType.IO_PORT, mask, port)
            expected.set(port, mask)
          }
          for (let port = 0; port <= 40; port++) {
            const reads = ((expected.get(port) ?? 0) & READ) !== 0
            expect(guest.vp.intercepts.beginPortIn(port, 1)).toBe(reads ? 'suspended' : 'done')
            if (!reads) continue
            guest.hypervisor.poll(10)
            guest.partition.completeIntercept(0)
            guest.vp.intercepts.finish()
          }
        },
      ),
      { numRuns: 30 },
    )
  })
})

describe('a suspended VP', () => {
  test('takes no interrupt until it is answered, and loses none', () => {
    const { guest } = owned()
    guest.partition.installIntercept(HvInterceptType.IO_PORT, READ, COM1)
    guest.vp.intercepts.beginPortIn(COM1, 1)
    guest.partition.vps[0]!.requestInterrupt(VECTOR, false)
    expect(guest.vp.deliver()).toBe(-1)
    expect(guest.vp.hasWork).toBe(false)
    guest.hypervisor.poll(10)
    const rings = guest.vpBells[0]!.rings
    guest.partition.completeIntercept(0)
    expect(guest.vpBells[0]!.rings).toBe(rings + 1)
    expect(guest.takeInterrupt()).toBe(VECTOR)
  })

  test('by ExplicitSuspend has no logical processor to run on', () => {
    const { guest } = owned()
    guest.partition.vps[0]!.dispatch.grant(1, false)
    expect(guest.vp.grantedLp()).toBe(1)
    guest.partition.vps[0]!.setExplicitSuspend(true)
    expect([guest.vp.grantedLp(), guest.vp.isSuspended]).toEqual([-1, true])
    guest.partition.vps[0]!.setExplicitSuspend(false)
    expect([guest.vp.grantedLp(), guest.vp.isSuspended]).toEqual([1, false])
  })
})

describe('completing', () => {
  test('what was not begun is INVALID_VP_STATE, and a VP that is not there INVALID_VP_INDEX', () => {
    const { guest } = owned()
    expect(guest.partition.completeIntercept(0)).toBe(HvStatus.INVALID_VP_STATE)
    expect(guest.partition.completeIntercept(1)).toBe(HvStatus.INVALID_VP_INDEX)
    expect(guest.partition.vps[0]!.intercept.setRegister(InterceptRegister.RAX, 1, 0)).toBe(false)
    expect(guest.partition.vps[0]!.intercept.setException(13, 0)).toBe(false)
  })

  test('a hostile VP that announces, renumbers and scribbles costs the root one message a look', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { maxLength: 20 }), (numbers) => {
        const { guest, taken } = owned()
        const { page } = guest.partition.vps[0]!
        for (const number of numbers) {
          Atomics.store(page, INTERCEPT_RAISED, number)
          Atomics.or(page, OUTBOX_SUMMARY, OUTBOX_INTERCEPT)
          const before = taken.length
          guest.hypervisor.poll(10)
          expect(taken.length - before).toBeLessThanOrEqual(1)
          if (number % 2 === 0) guest.partition.completeIntercept(0)
        }
      }),
    )
  })

  test('the message that the owner sees is the one that was raised, whatever is written meanwhile', () => {
    const page = new Int32Array(new SharedArrayBuffer(VP_PAGE_BYTES))
    const [slot, inbox] = [new InterceptSlot(page), new InterceptInbox(page)]
    expect(inbox.take()).toBe(false)
    slot.raise(new Int32Array(64).fill(7))
    expect(inbox.take()).toBe(true)
    expect(inbox.take()).toBe(false)
    page.fill(9)
    expect(inbox.message.every((byte, index) => byte === (index % 4 === 0 ? 7 : 0))).toBe(true)
  })
})
