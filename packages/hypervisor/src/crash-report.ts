// What a guest says when it crashes, by the registers CRASH_P0 to P4 and CRASH_CTL (TLFS, "Guest Crash Enlightenment").
// Root's thread; everything here was written by the guest.

import { SlatRight, type GuestMemory, type Slat } from '@guestyard/guestmem'
import {
  CRASH_MESSAGE_HIGH,
  CRASH_MESSAGE_MAX,
  CRASH_NO_DUMP_HIGH,
  PAGE_SIZE,
} from '@guestyard/hvdef'

import { REGISTER_CRASH_CTL, REGISTER_CRASH_P0 } from './partition-page.ts'

/** A guest's report. Plain data. */
export interface CrashReport {
  /** VP that wrote the report. */
  readonly vp: number
  /** CRASH_P0 to P4: five u64, of which the guest's system decides the meaning. */
  readonly parameters: readonly bigint[]
  /** Bytes of the message, as the guest wrote them, at most 4096; empty when there is none. */
  readonly message: Uint8Array
  /** The guest asks that no dump be made of it. */
  readonly noDump: boolean
  /** The environment before the operating system that it crashed in, 0 to 7; 0: it was the operating system. */
  readonly preOsId: number
}

const PARAMETERS = 5
const [MESSAGE_GPA, MESSAGE_LENGTH] = [3, 4]
const PRE_OS_SHIFT = 58n
const EMPTY: Uint8Array = new Uint8Array()

/** The RAM of a partition, and where in its GPA space that is. */
interface ReportedMemory {
  readonly memory: GuestMemory
  readonly slat: Slat
}

/** Reads the report from a partition's registers, and its message from RAM that the guest may read, once. */
export function readCrashReport(
  page: SharedArrayBuffer,
  from: ReportedMemory,
  vp: number,
): CrashReport {
  const registers = new BigUint64Array(page, 0, REGISTER_CRASH_CTL + 1)
  const parameters = Array.from({ length: PARAMETERS }, (_, index) =>
    Atomics.load(registers, REGISTER_CRASH_P0 + index),
  )
  const control = Atomics.load(registers, REGISTER_CRASH_CTL)
  const high = Number(control >> 32n)
  const hasMessage = (high & CRASH_MESSAGE_HIGH) !== 0
  return {
    vp,
    parameters,
    message: hasMessage
      ? readMessage(from, parameters[MESSAGE_GPA]!, parameters[MESSAGE_LENGTH]!)
      : EMPTY,
    noDump: (high & CRASH_NO_DUMP_HIGH) !== 0,
    preOsId: Number((control >> PRE_OS_SHIFT) & 7n),
  }
}

/** Empty when some of it is not RAM that may be read. It is a page long at most, and lies in two. */
function readMessage({ memory, slat }: ReportedMemory, at: bigint, length: bigint): Uint8Array {
  const bytes = new Uint8Array(Math.min(Number(length), CRASH_MESSAGE_MAX))
  const gpa = Number(at)
  for (let done = 0; done < bytes.length;) {
    const page = Math.floor((gpa + done) / PAGE_SIZE)
    const offset = (gpa + done) % PAGE_SIZE
    const count = Math.min(bytes.length - done, PAGE_SIZE - offset)
    const ramPage = slat.ramPage(page, SlatRight.READ)
    if (ramPage < 0) return EMPTY
    if (!memory.read(ramPage * PAGE_SIZE + offset, bytes, done, count)) return EMPTY
    done += count
  }
  return bytes
}
