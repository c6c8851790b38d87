// HOT
// Interrupts that other threads request of a VP: the root's for its devices, the siblings' by IPI. They lie in the VP's
// block of the partition page, a bit for each vector and a summary above. Who requests sets from the bottom up and stops at a bit
// that was set already; the VP takes from the top down. As with event flags, a bit that is set is either still
// announced or about to be taken.
//
//                sender: [or level, or auto-EOI] -> or vector -> or summary -> ring      (each only if the one below was clear)
//                VP:     exchange summary -> exchange vectors -> take their modes -> IRR

import type { LocalApic } from './apic.ts'
import {
  REQUESTED,
  REQUESTED_AUTO_EOI,
  REQUESTED_LEVEL,
  REQUEST_NMI,
  REQUEST_SUMMARY,
} from './partition-page.ts'
import { VECTOR_WORDS } from './vp-page.ts'

const WORD_BITS = (1 << VECTOR_WORDS) - 1

/**
 * Requests `vector` (16 to 255) of the VP whose block begins at `block`; level-triggered and ending by itself, if said.
 * Any thread of the partition, or the root's. True when the VP must be woken.
 */
export function raiseInterrupt(
  page: Int32Array,
  block: number,
  vector: number,
  level: boolean,
  autoEoi: boolean,
): boolean {
  const word = (vector >>> 5) & (VECTOR_WORDS - 1)
  const bit = 1 << (vector & 31)
  // ORDER: the modes before the vector. Whoever takes the vector finds them; a mode without its vector waits for it.
  if (level) Atomics.or(page, block + REQUESTED_LEVEL + word, bit)
  if (autoEoi) Atomics.or(page, block + REQUESTED_AUTO_EOI + word, bit)
  // ORDER: vector, then summary. A vector that was set already is taken by a pass that has not read it yet.
  if ((Atomics.or(page, block + REQUESTED + word, bit) & bit) !== 0) return false
  return Atomics.or(page, block + REQUEST_SUMMARY, 1 << word) === 0
}

/** Requests a non-maskable interrupt. Threads as raiseInterrupt. True when the VP must be woken. */
export function raiseNmi(page: Int32Array, block: number): boolean {
  return Atomics.or(page, block + REQUEST_SUMMARY, REQUEST_NMI) === 0
}

/** True when `takeInterrupts` would find something. VP's thread. */
export function hasInterrupts(page: Int32Array, block: number): boolean {
  return Atomics.load(page, block + REQUEST_SUMMARY) !== 0
}

/** Moves what was requested into the VP's APIC. VP's thread. The summary; 0 when there was nothing, by one load. */
export function takeInterrupts(page: Int32Array, block: number, apic: LocalApic): number {
  if (Atomics.load(page, block + REQUEST_SUMMARY) === 0) return 0
  // ORDER: the summary is taken before what it announces, so that a later request announces itself anew. All of it is
  // taken: who finds it not zero need not ring.
  const summary = Atomics.exchange(page, block + REQUEST_SUMMARY, 0)
  if ((summary & REQUEST_NMI) !== 0) apic.requestNmi()
  let words = summary & WORD_BITS
  while (words !== 0) {
    const word = 31 - Math.clz32(words)
    words &= ~(1 << word)
    const bits = Atomics.exchange(page, block + REQUESTED + word, 0)
    if (bits === 0) continue
    const level = takeModes(page, block + REQUESTED_LEVEL + word, bits)
    const autoEoi = takeModes(page, block + REQUESTED_AUTO_EOI + word, bits)
    apic.requestWord(word, bits, level, autoEoi)
  }
  return summary
}

/** The modes of the vectors in `bits`. Those of other vectors stay: their requests are still on the way. */
function takeModes(page: Int32Array, at: number, bits: number): number {
  if ((Atomics.load(page, at) & bits) === 0) return 0
  return Atomics.and(page, at, ~bits) & bits
}
