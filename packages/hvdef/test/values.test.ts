import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as hvdef from '../src/index.ts'

test('a status is named as the spec names it, and an unknown one by its number', () => {
  expect(hvdef.hvStatusName(hvdef.HvStatus.SUCCESS)).toBe('HV_STATUS_SUCCESS')
  expect(hvdef.hvStatusName(0x13)).toBe('HV_STATUS_INSUFFICIENT_BUFFERS')
  expect(hvdef.hvStatusName(0x33)).toBe('HV_STATUS_INSUFFICIENT_BUFFER')
  expect(hvdef.hvStatusName(0x01)).toBe('HV_STATUS_0x01')
  expect(hvdef.isHvStatus(0x12)).toBe(true)
  expect(hvdef.isHvStatus(0x0f)).toBe(false)
})

test.each([
  [0, 0, 0],
  [0xfff, 0, 0],
  [0, 1, 1],
  [0, 4096, 1],
  [0, 4097, 2],
  [0xfff, 1, 1],
  [0xfff, 2, 2],
  [4096, 1, 1],
  [0xfff, 0xffff_f000, 0x10_0000],
])('bytes from offset %d, %d long, touch %d pages', (offset, length, pages) => {
  expect(hvdef.pagesCovering(offset, length)).toBe(pages)
})

test('the vendor words spell "Microsoft Hv" and the interface "Hv#1"', () => {
  const words = Uint32Array.of(
    hvdef.CPUID_VENDOR_EBX,
    hvdef.CPUID_VENDOR_ECX,
    hvdef.CPUID_VENDOR_EDX,
    hvdef.CPUID_INTERFACE_HV1,
  )
  expect(new TextDecoder().decode(words)).toBe('Microsoft HvHv#1')
})

test('the privileges that Linux was seen to accept are 0x8a67 and 0x30', () => {
  const { HvPrivilege: P } = hvdef
  const mask = hvdef.privilegeMask([
    P.ACCESS_VP_RUNTIME_REG,
    P.ACCESS_PARTITION_REFERENCE_COUNTER,
    P.ACCESS_SYNIC_REGS,
    P.ACCESS_HYPERCALL_MSRS,
    P.ACCESS_VP_INDEX,
    P.ACCESS_PARTITION_REFERENCE_TSC,
    P.ACCESS_FREQUENCY_REGS,
    P.ACCESS_TSC_INVARIANT_CONTROLS,
    P.POST_MESSAGES,
    P.SIGNAL_EVENTS,
  ])
  expect(mask).toEqual({ low: 0x8a67, high: 0x30 })
  expect(hvdef.hasPrivilege(mask, P.POST_MESSAGES)).toBe(true)
  expect(hvdef.hasPrivilege(mask, P.ACCESS_INTR_CTRL_REGS)).toBe(false)
  expect(hvdef.hasPrivilege(mask, P.CREATE_PARTITIONS)).toBe(false)
})

test('every privilege is in the mask of itself and of no other', () => {
  const all = Object.values(hvdef.HvPrivilege)
  for (const one of all) {
    const mask = hvdef.privilegeMask([one])
    expect(all.filter((other) => hvdef.hasPrivilege(mask, other))).toEqual([one])
  }
})

test('an MSR that places a page gives back its page number and keeps its low bits apart', () => {
  const pageNumbers = fc.integer({ min: 0, max: 2 ** 40 - 1 })
  fc.assert(
    fc.property(pageNumbers, fc.integer({ min: 0, max: 0xfff }), (page, bits) => {
      const low = hvdef.msrPageLow(page, bits)
      const high = hvdef.msrPageHigh(page)
      expect(hvdef.msrPageNumber(low, high)).toBe(page)
      expect(low & 0xfff).toBe(bits)
    }),
  )
  expect(hvdef.msrPageLow(0xf_ffff, hvdef.MSR_PAGE_ENABLE)).toBe(0xffff_f001)
})

test('MSRs are named, numbered ones by their number', () => {
  expect(hvdef.msrName(0x4000_0092)).toBe('SINT2')
  expect(hvdef.msrName(0x4000_00b3)).toBe('STIMER1_COUNT')
  expect(hvdef.msrName(0x4000_0000)).toBe('GUEST_OS_ID')
  expect(hvdef.msrName(0x4000_0004)).toBeUndefined()
})

test('a slow and a fast input value are the bits that Linux passes', () => {
  expect(hvdef.hypercallInputLow(hvdef.HypercallCode.POST_MESSAGE, false)).toBe(0x5c)
  expect(hvdef.hypercallInputLow(hvdef.HypercallCode.SIGNAL_EVENT, true)).toBe(0x1_005d)
})

test('an input value splits into the fields it was made of', () => {
  const u12 = fc.integer({ min: 0, max: 0xfff })
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 0xffff }),
      fc.boolean(),
      fc.integer({ min: 0, max: 0x3ff }),
      u12,
      u12,
      (code, fast, variableHeaderQwords, repCount, repStart) => {
        const low = hvdef.hypercallInputLow(code, fast, variableHeaderQwords)
        const high = hvdef.hypercallInputHigh(repCount, repStart)
        expect(hvdef.decodeHypercallInputValue(low, high)).toEqual({
          code,
          fast,
          variableHeaderQwords,
          nested: false,
          repCount,
          repStart,
          reservedBitsSet: false,
        })
      },
    ),
  )
})

test.each([
  [0x0800_0000, 0],
  [0x4000_0000, 0],
  [0, 0x1000],
  [0, 0x8000],
  [0, 0x1000_0000],
  [0, 0x8000_0000],
])('a bit of the input value that must be zero is seen: 0x%x 0x%x', (low, high) => {
  expect(hvdef.decodeHypercallInputValue(low, high).reservedBitsSet).toBe(true)
})

test('a result keeps its status and its rep count, and drops what a receiver ignores', () => {
  const low = hvdef.hypercallResultLow(hvdef.HvStatus.INSUFFICIENT_MEMORY)
  expect(hvdef.hypercallStatus(low | 0x7fff_0000)).toBe(hvdef.HvStatus.INSUFFICIENT_MEMORY)
  expect(hvdef.hypercallRepsCompleted(hvdef.hypercallResultHigh(0xabc) | 0xf000)).toBe(0xabc)
})

test('hot constants equal the table they twin', () => {
  expect(hvdef.MSR_EOM).toBe(hvdef.SyntheticMsr.EOM)
  expect(hvdef.MSR_EOI).toBe(hvdef.SyntheticMsr.EOI)
  expect(hvdef.MSR_SINT0).toBe(hvdef.SyntheticMsr.SINT0)
  expect(hvdef.MSR_STIMER0_CONFIG).toBe(hvdef.SyntheticMsr.STIMER0_CONFIG)
  expect(hvdef.HVCALL_POST_MESSAGE).toBe(hvdef.HypercallCode.POST_MESSAGE)
  expect(hvdef.HVCALL_SIGNAL_EVENT).toBe(hvdef.HypercallCode.SIGNAL_EVENT)
  expect(hvdef.PIPE_PACKET_TYPE_DATA).toBe(hvdef.PipePacketType.DATA)
  expect(hvdef.PIPE_PACKET_TYPE_PARTIAL).toBe(hvdef.PipePacketType.PARTIAL)
  expect(hvdef.PACKET_DESCRIPTOR_SIZE).toBe(hvdef.PacketDescriptor.size)
  expect(hvdef.PACKET_TRAILER_SIZE).toBe(hvdef.PacketTrailer.size)
  expect(hvdef.PIPE_HEADER_SIZE).toBe(hvdef.PipeHeader.size)
  expect(hvdef.HV_MESSAGE_SIZE).toBe(hvdef.HvMessage.size)
  expect(hvdef.VMBUS_MESSAGE_HEADER_SIZE).toBe(hvdef.EmptyMessage.size)
})

test('control words lie where the control page declares them', () => {
  const { at } = hvdef.RingControl
  expect(hvdef.RING_WORD_IN * 4).toBe(at.in)
  expect(hvdef.RING_WORD_OUT * 4).toBe(at.out)
  expect(hvdef.RING_WORD_INTERRUPT_MASK * 4).toBe(at.interruptMask)
  expect(hvdef.RING_WORD_PENDING_SEND_SIZE * 4).toBe(at.pendingSendSize)
  expect(hvdef.RING_WORD_FEATURE_BITS * 4).toBe(at.featureBits)
})

test('SINT 2 has its message slot and its flags at byte 512 of their pages', () => {
  expect(hvdef.simSlotOffset(hvdef.VMBUS_SINT)).toBe(512)
  expect(hvdef.siefArrayOffset(hvdef.VMBUS_SINT)).toBe(512)
})

test('an assertion that fails throws its sentence', () => {
  expect(() => hvdef.assert(false, 'a ring has a data page')).toThrow('a ring has a data page')
  expect(() => hvdef.assert(true, 'a ring has a data page')).not.toThrow()
  expect(() => hvdef.assertNever({ is: 'unknown' } as never)).toThrow('{"is":"unknown"}')
})
