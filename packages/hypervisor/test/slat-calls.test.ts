// The blocks of hypercalls and the SLAT: a block is where the table says, and reached only with the right that it needs.

import { SlatRight } from '@guestyard/guestmem'
import {
  HVCALL_POST_MESSAGE,
  HvStatus,
  PAGE_SIZE,
  hypercallInputHigh,
  hypercallInputLow,
  HypercallCode,
} from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'

import { HYPERCALL_MEMORY_INTERCEPT } from '../src/index.ts'
import { Guest } from './guest.ts'

const PAGE = 20
const ELSEWHERE = 30

/** HvCallGetVpIndexFromApicId for VP 0: a rep call with input and output. */
function ask(guest: Guest, inputPage: number, outputPage: number): number {
  return guest.vp.hypercall(
    hypercallInputLow(HypercallCode.GET_VP_INDEX_FROM_APIC_ID, false),
    hypercallInputHigh(1, 0),
    inputPage * PAGE_SIZE,
    0,
    outputPage * PAGE_SIZE,
    0,
  )
}

/** Partition "self", and APIC id 0. */
function putInput(guest: Guest, ramPage: number): void {
  guest.memory.u8.fill(0, ramPage * PAGE_SIZE, (ramPage + 1) * PAGE_SIZE)
  guest.memory.u8.fill(0xff, ramPage * PAGE_SIZE, ramPage * PAGE_SIZE + 8)
}

describe('a block of a hypercall', () => {
  test('in a page that is not mapped is a memory intercept', () => {
    const guest = new Guest().boot()
    putInput(guest, PAGE)
    expect(ask(guest, PAGE, PAGE + 1)).toBe(HvStatus.SUCCESS)
    guest.partition.slat.unmap(PAGE, 1)
    expect(ask(guest, PAGE, PAGE + 1)).toBe(HYPERCALL_MEMORY_INTERCEPT)
    guest.partition.slat.mapMmio(PAGE, 1, 3)
    expect(ask(guest, PAGE, PAGE + 1)).toBe(HYPERCALL_MEMORY_INTERCEPT)
  })

  test('is read where it may be read, and written only where it may be written', () => {
    const guest = new Guest().boot()
    putInput(guest, PAGE)
    guest.partition.slat.protect(PAGE, 1, SlatRight.READ)
    expect(ask(guest, PAGE, PAGE + 1)).toBe(HvStatus.SUCCESS)
    guest.partition.slat.protect(PAGE + 1, 1, SlatRight.READ)
    expect(ask(guest, PAGE, PAGE + 1)).toBe(HYPERCALL_MEMORY_INTERCEPT)
    guest.partition.slat.protect(PAGE, 1, 0)
    guest.partition.slat.protect(PAGE + 1, 1, SlatRight.READ | SlatRight.WRITE)
    expect(ask(guest, PAGE, PAGE + 1)).toBe(HYPERCALL_MEMORY_INTERCEPT)
  })

  test('is in the RAM that its page is mapped to', () => {
    const guest = new Guest().boot()
    guest.partition.slat.mapRam(PAGE, ELSEWHERE, 2, SlatRight.READ | SlatRight.WRITE)
    putInput(guest, ELSEWHERE)
    guest.memory.u8.fill(0xee, (ELSEWHERE + 1) * PAGE_SIZE, (ELSEWHERE + 2) * PAGE_SIZE)
    expect(ask(guest, PAGE, PAGE + 1)).toBe(HvStatus.SUCCESS)
    expect(guest.memory.view.getUint32((ELSEWHERE + 1) * PAGE_SIZE, true)).toBe(0)
    // The next page of RAM holds nothing of a call that asks at the old place.
    expect(ask(guest, 0, PAGE + 1)).not.toBe(HvStatus.SUCCESS)
  })

  test('beyond GPA space is a memory intercept, however far', () => {
    const guest = new Guest().boot()
    for (const [low, high] of [
      [0, 1],
      [0xffff_f000, 0],
      [0, 0x7fff_ffff],
      [0, 0xffff_ffff],
    ] as const) {
      const code = hypercallInputLow(HVCALL_POST_MESSAGE, false)
      expect(guest.vp.hypercall(code, 0, low, high, 0, 0)).toBe(HYPERCALL_MEMORY_INTERCEPT)
    }
  })
})
