import {
  HYPERCALL_FAST,
  HvPrivilege,
  HvStatus,
  HypercallCode,
  InitialVpContext,
  PAGE_SIZE,
  StartVirtualProcessorInput,
  SyntheticMsr,
  hypercallInputLow,
} from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { DEFAULT_CHILD_PRIVILEGES, HYPERCALL_CONTINUED, NMI_VECTOR } from '../src/index.ts'
import { Guest, INPUT_PAGE } from './guest.ts'

const C = HypercallCode
const INPUT = INPUT_PAGE * PAGE_SIZE

/** Makes a call whose input is these words. */
function call(
  guest: Guest,
  code: number,
  words: readonly number[],
  options: { vp?: number; variable?: number; reps?: number; start?: number } = {},
): number {
  words.forEach((word, index) => guest.memory.view.setInt32(INPUT + index * 4, word, true))
  const low = hypercallInputLow(code, false, options.variable ?? 0)
  const high = (options.reps ?? 0) | ((options.start ?? 0) << 16)
  return guest.vps[options.vp ?? 0]!.hypercall(low, high, INPUT, 0, 0, 0)
}

/** The vectors that each VP takes. */
function taken(guest: Guest): number[][] {
  return guest.vps.map((_, vp) => {
    const vectors = []
    for (let at = guest.takeInterrupt(vp); at >= 0; at = guest.takeInterrupt(vp)) vectors.push(at)
    return vectors
  })
}

describe('HvCallSendSyntheticClusterIpi', () => {
  test('interrupts the VPs of its mask, itself too, and nobody for bits beyond them', () => {
    const guest = new Guest({ vpCount: 4 }).boot()
    expect(call(guest, C.SEND_SYNTHETIC_CLUSTER_IPI, [0x41, 0, 0b1_1011, 0xff])).toBe(0)
    expect(taken(guest)).toEqual([[0x41], [0x41], [], [0x41]])
    expect(guest.vpBells.map((bell) => bell.rings)).toEqual([0, 1, 0, 1])
  })

  test('works in registers, as Linux makes it', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    const low = C.SEND_SYNTHETIC_CLUSTER_IPI | HYPERCALL_FAST
    expect(guest.vp.hypercall(low, 0, 0xfc, 0, 0b10, 0)).toBe(0)
    expect(taken(guest)).toEqual([[], [0xfc]])
  })

  test.each([
    ['vector 15', [15, 0, 1, 0]],
    ['vector 256', [256, 0, 1, 0]],
    ['VTL 1', [0x41, 1, 1, 0]],
  ])('with %s is INVALID_PARAMETER and interrupts nobody', (_, words) => {
    const guest = new Guest({ vpCount: 2 }).boot()
    expect(call(guest, C.SEND_SYNTHETIC_CLUSTER_IPI, words)).toBe(HvStatus.INVALID_PARAMETER)
    expect(taken(guest)).toEqual([[], []])
  })

  test('reaches VPs above 31', () => {
    const guest = new Guest({ vpCount: 40 }).enabled()
    expect(call(guest, C.SEND_SYNTHETIC_CLUSTER_IPI, [0x41, 0, 0, 0x81])).toBe(0)
    expect(taken(guest).map((vectors, vp) => (vectors.length > 0 ? vp : -1))).toContain(39)
    expect(guest.vps[32]!.inspect().interruptsTaken).toBe(1)
    expect(guest.vps[33]!.inspect().interruptsTaken).toBe(0)
  })
})

describe('HvCallSendSyntheticClusterIpiEx', () => {
  const ex = (guest: Guest, format: number, banks: readonly number[], contents: number[]) =>
    call(guest, C.SEND_SYNTHETIC_CLUSTER_IPI_EX, [0x41, 0, format, 0, ...banks, ...contents], {
      variable: contents.length / 2,
    })

  test('takes bank 0 of a sparse set', () => {
    const guest = new Guest({ vpCount: 3 }).boot()
    expect(ex(guest, 0, [1, 0], [0b101, 0])).toBe(0)
    expect(taken(guest)).toEqual([[0x41], [], [0x41]])
  })

  test('interrupts nobody for banks beyond the partition’s VPs, and everybody for the set of all', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    expect(ex(guest, 0, [2, 0], [-1, -1])).toBe(0)
    expect(ex(guest, 0, [0, 0], [])).toBe(0)
    expect(taken(guest)).toEqual([[], []])
    expect(ex(guest, 1, [0, 0], [])).toBe(0)
    expect(taken(guest)).toEqual([[0x41], [0x41]])
  })

  test('with another number of banks than it says is INVALID_HYPERCALL_INPUT', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    expect(ex(guest, 0, [3, 0], [1, 0])).toBe(HvStatus.INVALID_HYPERCALL_INPUT)
    expect(ex(guest, 0, [0, 0], [1, 0])).toBe(HvStatus.INVALID_HYPERCALL_INPUT)
    expect(ex(guest, 2, [0, 0], [])).toBe(HvStatus.INVALID_PARAMETER)
  })
})

describe('a write to ICR (TLFS, "APIC MSRs")', () => {
  const icr = (guest: Guest, low: number, destination = 0, vp = 0) =>
    guest.vps[vp]!.writeMsr(SyntheticMsr.ICR, low, destination << 24)

  test.each([
    ['to itself', 0x4_0041, 0, [0]],
    ['to all', 0x8_0041, 0, [0, 1, 2]],
    ['to all others', 0xc_0041, 0, [1, 2]],
    ['to one by its id', 0x41, 2, [2]],
    ['to all by broadcast', 0x41, 0xff, [0, 1, 2]],
    ['to a logical set', 0x841, 0b110, [1, 2]],
    ['to one that is not there', 0x41, 9, []],
    ['with lowest priority to a logical set', 0x941, 0b110, [1]],
  ])('%s', (_, low, destination, expected) => {
    const guest = new Guest({ vpCount: 3 }).boot()
    expect(icr(guest, low, destination)).toBe(true)
    const reached = taken(guest).flatMap((vectors, vp) => (vectors.length > 0 ? [vp] : []))
    expect(reached).toEqual(expected)
    guest.vp.readMsr(SyntheticMsr.ICR, guest.vp.msr)
    expect(guest.vp.msr).toEqual({ low, high: (destination << 24) >>> 0 })
  })

  test('sends an NMI', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    icr(guest, 0x400, 1)
    expect(guest.vps[1]!.deliver()).toBe(NMI_VECTOR)
  })

  test('with a vector below 16 is #GP', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    expect(icr(guest, 0x0f, 1)).toBe(false)
  })

  test('with a start-up starts a VP in real mode at the vector’s page, and not twice', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    const words = new Int32Array(56)
    expect(guest.vps[1]!.takeStart(words)).toBe(false)
    icr(guest, 0x500, 1)
    icr(guest, 0x608, 1)
    icr(guest, 0x609, 1)
    expect(guest.vps[1]!.takeStart(words)).toBe(true)
    const context = InitialVpContext.decode(new DataView(words.buffer))
    expect(context).toMatchObject({ rip: 0n, cs: { selector: 0x800, base: 0x8000n } })
    expect(guest.vps[1]!.takeStart(words)).toBe(false)
  })
})

describe('HvCallStartVirtualProcessor', () => {
  const start = (
    guest: Guest,
    vp: number,
    values: { partitionId?: bigint; targetVtl?: number },
  ) => {
    StartVirtualProcessorInput.encode(guest.memory.view, INPUT, {
      partitionId: values.partitionId ?? 0xffff_ffff_ffff_ffffn,
      vpIndex: vp,
      targetVtl: values.targetVtl ?? 0,
      vpContext: Uint8Array.from({ length: 224 }, (_, index) => index),
    })
    return guest.vp.hypercall(C.START_VIRTUAL_PROCESSOR, 0, INPUT, 0, 0, 0)
  }

  test('hands the context to the VP, and wakes it', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    expect(start(guest, 1, {})).toBe(HvStatus.SUCCESS)
    expect(guest.vpBells[1]!.rings).toBe(1)
    const words = new Int32Array(56)
    expect(guest.vps[1]!.takeStart(words)).toBe(true)
    expect([...new Uint8Array(words.buffer)]).toEqual(Array.from({ length: 224 }, (_, i) => i))
    expect(start(guest, 1, {})).toBe(HvStatus.INVALID_VP_STATE)
  })

  test('refuses a VP that runs, one that is not there, another partition and a VTL', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    expect(start(guest, 0, {})).toBe(HvStatus.INVALID_VP_STATE)
    expect(start(guest, 2, {})).toBe(HvStatus.INVALID_VP_INDEX)
    expect(start(guest, 1, { partitionId: 1n })).toBe(HvStatus.ACCESS_DENIED)
    expect(start(guest, 1, { targetVtl: 1 })).toBe(HvStatus.INVALID_PARAMETER)
  })

  test('without its privilege is ACCESS_DENIED', () => {
    const bit = 1 << (HvPrivilege.START_VIRTUAL_PROCESSOR - 32)
    const { low, high } = DEFAULT_CHILD_PRIVILEGES
    const guest = new Guest({ vpCount: 2, privileges: { low, high: high & ~bit } }).boot()
    expect(start(guest, 1, {})).toBe(HvStatus.ACCESS_DENIED)
  })
})

describe('a flush of translations', () => {
  /** A guest whose VPs count their flushes, but for VP 3, which caches nothing. */
  function flushing(): { guest: Guest; flushes: number[] } {
    const flushes = [0, 0, 0, 0]
    const guest = new Guest({
      vpCount: 4,
      vp: (vp) => (vp === 3 ? {} : { translations: { flush: () => void flushes[vp]!++ } }),
    }).boot()
    return { guest, flushes }
  }
  const space = (guest: Guest, flags: number, mask: number) =>
    call(guest, C.FLUSH_VIRTUAL_ADDRESS_SPACE, [0x1000, 0, flags, 0, mask, 0])

  test('is not done before every VP of the mask has flushed', () => {
    const { guest, flushes } = flushing()
    expect(space(guest, 0, 0b1111)).toBe(HYPERCALL_CONTINUED)
    expect(flushes).toEqual([1, 0, 0, 0])
    guest.vps[1]!.deliver()
    expect(space(guest, 0, 0b1111)).toBe(HYPERCALL_CONTINUED)
    guest.vps[2]!.pingPending()
    expect(space(guest, 0, 0b1111)).toBe(HvStatus.SUCCESS)
    expect(flushes).toEqual([1, 1, 1, 0])
  })

  test('of VPs that cache nothing, or of the caller alone, is done at once', () => {
    const { guest, flushes } = flushing()
    expect(space(guest, 0, 0b1001)).toBe(HvStatus.SUCCESS)
    expect(flushes).toEqual([1, 0, 0, 0])
    const plain = new Guest({ vpCount: 2 }).boot()
    expect(space(plain, 1, 0)).toBe(HvStatus.SUCCESS)
  })

  test('asks anew when the caller was interrupted between two tries', () => {
    const { guest, flushes } = flushing()
    expect(space(guest, 0, 0b10)).toBe(HYPERCALL_CONTINUED)
    guest.vps[1]!.deliver()
    guest.partition.vps[0]!.requestInterrupt(0x41, false)
    guest.takeInterrupt()
    expect(space(guest, 0, 0b10)).toBe(HYPERCALL_CONTINUED)
    guest.vps[1]!.deliver()
    expect(space(guest, 0, 0b10)).toBe(HvStatus.SUCCESS)
    expect(flushes[1]).toBe(2)
  })

  test('takes an empty mask for all, as Windows means it, and refuses flags that there are not', () => {
    const { guest } = flushing()
    expect(space(guest, 0, 0)).toBe(HYPERCALL_CONTINUED)
    for (const vp of guest.vps) vp.deliver()
    expect(space(guest, 0, 0)).toBe(HvStatus.SUCCESS)
    expect(space(guest, 0x10, 1)).toBe(HvStatus.INVALID_PARAMETER)
  })

  test('of a list flushes once for all its ranges, and reports all of them done', () => {
    const { guest, flushes } = flushing()
    const ranges = Array.from({ length: 100 }, (_, index) => [index * PAGE_SIZE, 0]).flat()
    const words = [0x1000, 0, 0, 0, 0b11, 0, ...ranges]
    const list = (start: number) =>
      call(guest, C.FLUSH_VIRTUAL_ADDRESS_LIST, words, { reps: 100, start })
    expect(list(0)).toBe(HYPERCALL_CONTINUED)
    expect(guest.vp.repsCompleted).toBe(0)
    guest.vps[1]!.deliver()
    expect(list(0)).toBe(HYPERCALL_CONTINUED)
    expect(guest.vp.repsCompleted).toBe(64)
    expect(list(64)).toBe(HvStatus.SUCCESS)
    expect(guest.vp.repsCompleted).toBe(100)
    expect(flushes).toEqual([1, 1, 0, 0])
  })

  test('by the Ex forms takes a set of VPs', () => {
    const { guest, flushes } = flushing()
    const set = [0, 0, 1, 0, 0b101, 0]
    const ex = () =>
      call(guest, C.FLUSH_VIRTUAL_ADDRESS_SPACE_EX, [0x1000, 0, 0, 0, ...set], { variable: 1 })
    expect(ex()).toBe(HYPERCALL_CONTINUED)
    guest.vps[2]!.deliver()
    expect(ex()).toBe(HvStatus.SUCCESS)
    const list = [0x1000, 0, 0, 0, ...set, 0x2000, 0]
    expect(call(guest, C.FLUSH_VIRTUAL_ADDRESS_LIST_EX, list, { variable: 1, reps: 1 })).toBe(
      HYPERCALL_CONTINUED,
    )
    guest.vps[2]!.deliver()
    expect(call(guest, C.FLUSH_VIRTUAL_ADDRESS_LIST_EX, list, { variable: 1, reps: 1 })).toBe(
      HvStatus.SUCCESS,
    )
    expect(flushes).toEqual([2, 0, 2, 0])
  })
})

test('random words in every call for several VPs neither throw nor reach a VP that is not there', () => {
  const codes = [
    C.FLUSH_VIRTUAL_ADDRESS_SPACE,
    C.FLUSH_VIRTUAL_ADDRESS_LIST,
    C.FLUSH_VIRTUAL_ADDRESS_SPACE_EX,
    C.FLUSH_VIRTUAL_ADDRESS_LIST_EX,
    C.SEND_SYNTHETIC_CLUSTER_IPI,
    C.SEND_SYNTHETIC_CLUSTER_IPI_EX,
    C.START_VIRTUAL_PROCESSOR,
  ]
  const word = fc.oneof(fc.integer(), fc.constantFrom(0, 0, 1, 2, 0x41, -1))
  const one = fc.record({
    code: fc.constantFrom(...codes),
    words: fc.array(word, { minLength: 12, maxLength: 60 }),
    variable: fc.constantFrom(0, 0, 1, 2, 1023),
    reps: fc.constantFrom(0, 0, 1, 3, 500),
  })
  fc.assert(
    fc.property(fc.array(one, { maxLength: 10 }), (calls) => {
      const guest = new Guest({ vpCount: 3 }).boot()
      for (const { code, words, variable, reps } of calls) {
        const status = call(guest, code, words, { variable, reps })
        expect(status).toBeGreaterThanOrEqual(HYPERCALL_CONTINUED)
      }
      taken(guest)
    }),
  )
})
