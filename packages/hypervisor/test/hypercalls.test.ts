import {
  DEFAULT_CHILD_PRIVILEGES,
  HYPERCALL_CONTINUED,
  HYPERCALL_MEMORY_INTERCEPT,
  HYPERCALL_UNDEFINED_OPCODE,
} from '@guestyard/hypervisor'
import {
  HYPERCALL_FAST,
  HYPERCALL_NESTED,
  HvPrivilege,
  HvStatus,
  HypercallCode,
  HypercallTable,
  PAGE_SIZE,
  hypercallInputHigh,
  hypercallInputLow,
  privilegeMask,
} from '@guestyard/hvdef'
import type { HypercallName } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { VP_CALLS } from '../src/vp-calls.ts'
import { Guest, INPUT_PAGE, Mailbox, RAM_BYTES, Signals } from './guest.ts'

const INPUT = INPUT_PAGE * PAGE_SIZE
const C = HypercallCode
const slow = (code: number) => hypercallInputLow(code, false)
const fast = (code: number) => hypercallInputLow(code, true)

describe('input value (TLFS, "Hypercall Interface")', () => {
  const { vp } = new Guest().boot()

  test.each([0x0000, 0x0001, 0x005a, 0x00bf, 0x8001, 0xffff])(
    'code 0x%s is INVALID_HYPERCALL_CODE where there is no row',
    (code) => {
      expect(vp.hypercall(slow(code), 0, INPUT, 0, 0, 0)).toBe(HvStatus.INVALID_HYPERCALL_CODE)
    },
  )

  test.each([
    ['reserved bit 27', slow(C.SIGNAL_EVENT) | (1 << 27), 0],
    ['reserved bit 30', slow(C.SIGNAL_EVENT) | (1 << 30), 0],
    ['nested', (slow(C.SIGNAL_EVENT) | HYPERCALL_NESTED) >>> 0, 0],
    ['a variable header', hypercallInputLow(C.SIGNAL_EVENT, false, 1), 0],
    ['a rep count', slow(C.SIGNAL_EVENT), hypercallInputHigh(1, 0)],
    ['a rep start', slow(C.SIGNAL_EVENT), hypercallInputHigh(0, 1)],
    ['reserved bits 47:44', slow(C.SIGNAL_EVENT), 0x1000],
    ['reserved bits 63:60', slow(C.SIGNAL_EVENT), 0x1000_0000],
    ['fast on a call with 256 bytes of input', slow(C.POST_MESSAGE) | HYPERCALL_FAST, 0],
    ['fast on a call with output', slow(C.GET_PARTITION_ID) | HYPERCALL_FAST, 0],
  ])('%s makes a simple call INVALID_HYPERCALL_INPUT', (_, low, high) => {
    expect(vp.hypercall(low, high, INPUT, 0, INPUT, 0)).toBe(HvStatus.INVALID_HYPERCALL_INPUT)
  })

  test('arbitrary registers get a status or a fault, and never throw', () => {
    const guest = new Guest().boot()
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
    const code = fc.constantFrom(...VP_CALLS.map((row) => row.code))
    fc.assert(
      fc.property(fc.oneof(u32, code), u32, u32, u32, u32, u32, (low, high, a, b, c, d) => {
        const status = guest.vp.hypercall(low, high, a, b, c, d)
        expect(status).toBeGreaterThanOrEqual(HYPERCALL_CONTINUED)
        expect(status).toBeLessThanOrEqual(0xffff)
      }),
    )
  })
})

describe('memory blocks', () => {
  const guest = new Guest().boot()
  guest.messagePort(1, new Mailbox())
  const post = (gpa: number, high = 0) =>
    guest.vp.hypercall(slow(C.POST_MESSAGE), 0, gpa, high, 0, 0)

  test.each([1, 2, 4, 7])('input at page + %i is INVALID_ALIGNMENT', (offset) => {
    expect(post(INPUT + offset)).toBe(HvStatus.INVALID_ALIGNMENT)
  })

  test('input that crosses a page is INVALID_ALIGNMENT, and input that ends at its end is not', () => {
    expect(post(INPUT + PAGE_SIZE - 248)).toBe(HvStatus.INVALID_ALIGNMENT)
    expect(post(INPUT + PAGE_SIZE - 256)).not.toBe(HvStatus.INVALID_ALIGNMENT)
  })

  test('output that crosses a page or is not aligned is INVALID_ALIGNMENT', () => {
    expect(guest.vp.hypercall(slow(C.GET_PARTITION_ID), 0, 0, 0, INPUT + 4, 0)).toBe(
      HvStatus.INVALID_ALIGNMENT,
    )
  })

  test.each([
    ['just past the end of RAM', RAM_BYTES, 0],
    ['far past it', 0xffff_f000, 0x7fff_ffff],
  ])('input %s is a memory intercept, not a status', (_, low, high) => {
    expect(post(low, high)).toBe(HYPERCALL_MEMORY_INTERCEPT)
  })

  test('output past the end of RAM is a memory intercept', () => {
    expect(guest.vp.hypercall(slow(C.GET_PARTITION_ID), 0, 0, 0, RAM_BYTES, 0)).toBe(
      HYPERCALL_MEMORY_INTERCEPT,
    )
  })
})

describe('the hypercall page', () => {
  test('a call before it is enabled is #UD', () => {
    const { vp } = new Guest()
    expect(vp.hypercall(fast(C.NOTIFY_LONG_SPIN_WAIT), 0, 1, 0, 0, 0)).toBe(
      HYPERCALL_UNDEFINED_OPCODE,
    )
  })
})

describe('privileges (TLFS, HV_PARTITION_PRIVILEGE_MASK)', () => {
  const without = (privilege: number) => {
    const half = { ...DEFAULT_CHILD_PRIVILEGES }
    return privilege < 32
      ? { ...half, low: (half.low & ~(1 << privilege)) >>> 0 }
      : { ...half, high: (half.high & ~(1 << (privilege - 32))) >>> 0 }
  }

  test.each([
    ['PostMessages', HvPrivilege.POST_MESSAGES, C.POST_MESSAGE],
    ['SignalEvents', HvPrivilege.SIGNAL_EVENTS, C.SIGNAL_EVENT],
    ['AccessPartitionId', HvPrivilege.ACCESS_PARTITION_ID, C.GET_PARTITION_ID],
  ])(
    'without %s its call is ACCESS_DENIED, whatever else is wrong with it',
    (_, privilege, code) => {
      const guest = new Guest({ privileges: without(privilege) }).boot()
      expect(guest.vp.hypercall(slow(code), 0, INPUT, 0, INPUT, 0)).toBe(HvStatus.ACCESS_DENIED)
      expect(guest.vp.hypercall(slow(code), 1, INPUT + 3, 0, INPUT, 0)).toBe(HvStatus.ACCESS_DENIED)
    },
  )

  test('every call of the table has a row, unless it is about translation', () => {
    const rows = new Set(VP_CALLS.map((row) => row.name))
    const missing = Object.keys(HypercallTable).filter((name) => !rows.has(name as HypercallName))
    expect(missing.filter((name) => !/TranslateVirtual/.test(name))).toEqual([])
  })

  test('every call that is about a child of the caller is ACCESS_DENIED to a child, and counted', () => {
    const guest = new Guest().boot()
    const own = /GetPartitionId$|PostMessage$|SignalEvent$|StartVirtualProcessor$/
    const parents = VP_CALLS.filter((row) => row.privilege !== null && !own.test(row.name))
    expect(parents.length).toBeGreaterThan(20)
    for (const row of parents) {
      const status = guest.vp.hypercall(slow(row.code), row.rep ? 1 : 0, INPUT, 0, INPUT, 0)
      expect(status, row.name).toBe(HvStatus.ACCESS_DENIED)
    }
    expect(guest.vp.inspect().hypercallCounters.accessDenied).toBe(parents.length)
  })

  test('a child that holds the privilege is the parent of nobody', () => {
    const privileges = { ...DEFAULT_CHILD_PRIVILEGES }
    privileges.high = (privileges.high | 1) >>> 0 // CreatePartitions
    const guest = new Guest({ privileges }).boot()
    expect(guest.vp.hypercall(slow(C.CREATE_PARTITION), 0, INPUT, 0, INPUT + 64, 0)).toBe(
      HvStatus.PARTITION_TOO_DEEP,
    )
    expect(guest.vp.hypercall(fast(C.DELETE_PARTITION), 0, guest.partition.id, 0, 0, 0)).toBe(
      HvStatus.ACCESS_DENIED,
    )
  })

  test('NotifyLongSpinWait needs none', () => {
    const guest = new Guest({ privileges: privilegeMask([HvPrivilege.ACCESS_HYPERCALL_MSRS]) })
    guest.enableHypercalls()
    expect(guest.vp.hypercall(fast(C.NOTIFY_LONG_SPIN_WAIT), 0, 9, 0, 0, 0)).toBe(HvStatus.SUCCESS)
    expect(guest.vp.inspect().longSpinWaits).toBe(1)
  })
})

test('HvCallGetPartitionId writes the id as a u64', () => {
  const guest = new Guest().boot()
  expect(guest.vp.hypercall(slow(C.GET_PARTITION_ID), 0, 0, 0, INPUT + 8, 0)).toBe(HvStatus.SUCCESS)
  expect(guest.memory.view.getBigUint64(INPUT + 8, true)).toBe(BigInt(guest.partition.id))
})

describe('HvCallPostMessage', () => {
  test('a message arrives whole at its port, with the VP that sent it', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    const mailbox = new Mailbox()
    const { connection } = guest.messagePort(1, mailbox)
    const payload = Uint8Array.from({ length: 240 }, (_, i) => i)
    expect(guest.post(connection, 7, payload, 1)).toBe(HvStatus.SUCCESS)
    expect(guest.hypervisor.poll(100)).toBe(1)
    expect(mailbox.received).toEqual([{ type: 7, payload: [...payload], vp: 1 }])
  })

  test.each([
    ['type 0', 0, 4],
    ['a type with bit 31', 0x8000_0001, 4],
  ])('%s is INVALID_PARAMETER', (_, type, size) => {
    const guest = new Guest().boot()
    const { connection } = guest.messagePort(1, new Mailbox())
    expect(guest.post(connection, type, new Uint8Array(size))).toBe(HvStatus.INVALID_PARAMETER)
  })

  test.each([241, 0x7fff_ffff, 0xffff_ffff])('a size of %i is INVALID_PARAMETER', (size) => {
    const guest = new Guest().boot()
    const { connection } = guest.messagePort(1, new Mailbox())
    guest.post(connection, 1, new Uint8Array(4))
    guest.memory.view.setUint32(INPUT + 12, size, true)
    expect(guest.vp.hypercall(slow(C.POST_MESSAGE), 0, INPUT, 0, 0, 0)).toBe(
      HvStatus.INVALID_PARAMETER,
    )
  })

  test('an unknown connection, one with reserved bits and an event connection are INVALID_CONNECTION_ID', () => {
    const guest = new Guest().boot()
    guest.messagePort(1, new Mailbox())
    const event = guest.eventPort(2, 1, new Signals())
    for (const id of [9, 0x0100_0001, 0xffff_ffff, event.connection]) {
      expect(guest.post(id, 1, new Uint8Array(4))).toBe(HvStatus.INVALID_CONNECTION_ID)
    }
  })

  test('the seventeenth message that nobody took is INSUFFICIENT_BUFFERS, until one is taken', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    const mailbox = new Mailbox()
    const { connection } = guest.messagePort(1, mailbox)
    for (let i = 0; i < 16; i++) {
      expect(guest.post(connection, 1, new Uint8Array([i]), i % 2)).toBe(HvStatus.SUCCESS)
    }
    expect(guest.post(connection, 1, new Uint8Array([16]), 0)).toBe(HvStatus.INSUFFICIENT_BUFFERS)
    expect(guest.post(connection, 1, new Uint8Array([16]), 1)).toBe(HvStatus.INSUFFICIENT_BUFFERS)
    expect(guest.hypervisor.poll(1000)).toBe(16)
    expect(guest.post(connection, 1, new Uint8Array([16]))).toBe(HvStatus.SUCCESS)
    guest.hypervisor.poll(1000)
    expect(mailbox.received.map((message) => message.payload[0])).toEqual(
      Array.from({ length: 17 }, (_, i) => i),
    )
  })

  test('a full port does not keep another port of the same guest from receiving', () => {
    const guest = new Guest().boot()
    const first = guest.messagePort(1, new Mailbox())
    const second = guest.messagePort(4, new Mailbox())
    for (let i = 0; i < 16; i++) guest.post(first.connection, 1, new Uint8Array(1))
    expect(guest.post(second.connection, 1, new Uint8Array(1))).toBe(HvStatus.SUCCESS)
  })

  test('a handler that refuses leaves messages in the buffers, and gets them in order once it accepts', () => {
    const guest = new Guest().boot()
    const mailbox = new Mailbox()
    const { connection } = guest.messagePort(1, mailbox)
    mailbox.open = false
    for (let i = 0; i < 16; i++) guest.post(connection, 1, new Uint8Array([i]))
    expect(guest.hypervisor.poll(100)).toBe(0)
    expect(guest.hypervisor.arm()).toBe(false)
    expect(guest.post(connection, 1, new Uint8Array(1))).toBe(HvStatus.INSUFFICIENT_BUFFERS)
    mailbox.open = true
    expect(guest.hypervisor.arm()).toBe(true)
    expect(guest.hypervisor.poll(100)).toBe(16)
    expect(mailbox.received.map((message) => message.payload[0])).toEqual(
      Array.from({ length: 16 }, (_, i) => i),
    )
  })

  test('any sequence of posts and polls delivers the accepted messages once and in order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant('poll'), fc.integer({ min: 0, max: 1 }))),
        (steps) => {
          const guest = new Guest({ vpCount: 2 }).boot()
          const mailbox = new Mailbox()
          const { connection } = guest.messagePort(1, mailbox)
          const accepted: number[] = []
          let number = 0
          for (const step of steps) {
            if (typeof step === 'string') guest.hypervisor.poll(1)
            else if (
              guest.post(connection, 1, new Uint8Array([number]), step) === HvStatus.SUCCESS
            ) {
              accepted.push(number++)
            }
          }
          while (guest.hypervisor.poll(1) > 0);
          expect(mailbox.received.map((message) => message.payload[0])).toEqual(accepted)
        },
      ),
      { numRuns: 50 },
    )
  })
})

describe('HvCallSignalEvent', () => {
  test('fast and slow forms reach the same flag of the port', () => {
    const guest = new Guest().boot()
    const signals = new Signals()
    const { connection } = guest.eventPort(0x2001, 4, signals)
    expect(guest.signal(connection, 3)).toBe(HvStatus.SUCCESS)
    guest.hypervisor.poll(10)
    guest.memory.view.setUint32(INPUT, connection, true)
    guest.memory.view.setUint32(INPUT + 4, 2, true)
    expect(guest.vp.hypercall(slow(C.SIGNAL_EVENT), 0, INPUT, 0, 0, 0)).toBe(HvStatus.SUCCESS)
    guest.hypervisor.poll(10)
    expect(signals.flags).toEqual([3, 2])
  })

  test('the root is rung for the first signal only, until it has looked', () => {
    const guest = new Guest().boot()
    const a = guest.eventPort(0x2001, 1, new Signals())
    guest.eventPort(0x2002, 300, new Signals())
    const b = guest.eventPort(0x2003, 1, new Signals())
    for (let i = 0; i < 5; i++) guest.signal(a.connection)
    // The same word says so, though its flag is in another group.
    guest.signal(b.connection)
    expect(guest.rootBell.rings).toBe(1)
    expect(guest.hypervisor.poll(10)).toBe(2)
    guest.signal(b.connection)
    expect(guest.rootBell.rings).toBe(2)
  })

  test('a flag at the flag count is INVALID_PARAMETER', () => {
    const guest = new Guest().boot()
    const { connection } = guest.eventPort(0x2001, 4, new Signals())
    expect(guest.signal(connection, 4)).toBe(HvStatus.INVALID_PARAMETER)
    expect(guest.signal(connection, 0xffff)).toBe(HvStatus.INVALID_PARAMETER)
  })

  test('an unknown connection and a message connection are INVALID_CONNECTION_ID', () => {
    const guest = new Guest().boot()
    const message = guest.messagePort(1, new Mailbox())
    expect(guest.signal(message.connection)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(guest.signal(0x2001)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(guest.signal(0x0100_2001)).toBe(HvStatus.INVALID_CONNECTION_ID)
  })

  test('2048 flags in one port, and channels in 2047 ports, all reach their own handler', () => {
    const whole = new Guest().boot()
    const all = new Signals()
    const { connection } = whole.eventPort(5, 2048, all)
    for (let flag = 0; flag < 2048; flag++) whole.signal(connection, flag)
    expect(whole.hypervisor.poll(2048)).toBe(2048)
    expect(all.flags.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 2048 }, (_, i) => i))

    const many = new Guest().boot()
    const ports = Array.from({ length: 2047 }, (_, i) => ({
      id: 0x2001 + i,
      signals: new Signals(),
    }))
    for (const port of ports) many.eventPort(port.id, 1, port.signals)
    for (const port of ports) expect(many.signal(port.id)).toBe(HvStatus.SUCCESS)
    many.hypervisor.poll(2048)
    expect(ports.every((port) => port.signals.flags.length === 1)).toBe(true)
  })
})
