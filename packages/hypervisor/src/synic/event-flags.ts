// HOT
// Event flags between the root and a VP, both ways: a bitmap, and summary words above it so that looking for work
// costs a load. The one who signals sets from the bottom up and stops as soon as he finds a bit that was set; the
// one who takes clears from the top down. So a set bit is either still announced above, or about to be taken by a
// pass that has begun; either way it needs no second announcement.
//
//                signaller: or flag -> or summary -> or top -> ring          (each only if the level below was clear)
//                taker:     clear top -> exchange summary -> exchange flags -> act

import {
  FLAG_WORDS,
  INBOX_FLAGS,
  INBOX_FLAG_SUMMARY,
  INBOX_GROUP_SHIFT,
  INBOX_GROUP_WORDS,
  INBOX_SUMMARY,
  OUTBOX_FLAGS,
  OUTBOX_GROUP_SHIFT,
  OUTBOX_SUMMARY,
} from '../vp-page.ts'

/**
 * HvCallSignalEvent's last step, on the VP's thread: flags `slot` (0 to 2047) for the root.
 * True when the root must be woken.
 */
export function raiseOutboxEvent(page: Int32Array, slot: number): boolean {
  const bit = 1 << (slot & 31)
  // ORDER: what the guest wrote before its call is published by this `or`, and read by the root after it takes the
  // flag. A flag that was set already is taken by a pass that has not read it yet, hence after this line.
  if ((Atomics.or(page, OUTBOX_FLAGS + (slot >>> 5), bit) & bit) !== 0) return false
  return announce(page, 1 << (slot >>> OUTBOX_GROUP_SHIFT))
}

/**
 * Sets bits of the outbox summary, on the VP's thread. True when the root must be woken: it takes all bits at once, so a
 * word that was not zero belongs to an announcement that has been rung and not yet looked at.
 */
export function announce(page: Int32Array, bits: number): boolean {
  return Atomics.or(page, OUTBOX_SUMMARY, bits) === 0
}

/**
 * Flags event `flag` (0 to 2047) of `sint` for a VP, on the root's thread. True when the VP must be woken.
 * The top word may keep bits of masked SINTs for long, so only this SINT's bit decides.
 */
export function raiseInboxEvent(page: Int32Array, sint: number, flag: number): boolean {
  const bit = 1 << (flag & 31)
  // ORDER: as in raiseOutboxEvent, with the root as the signaller.
  if ((Atomics.or(page, INBOX_FLAGS + sint * FLAG_WORDS + (flag >>> 5), bit) & bit) !== 0) {
    return false
  }
  const group = 1 << (flag >>> INBOX_GROUP_SHIFT)
  if (Atomics.or(page, INBOX_FLAG_SUMMARY + sint, group) !== 0) return false
  const top = 1 << sint
  return (Atomics.or(page, INBOX_SUMMARY, top) & top) === 0
}

/**
 * Takes back event `flag` of `sint`, on the root's thread. True when the VP had not taken it, and now never will: whoever takes
 * a flag has it, and there are no others than these two. The words above may go on announcing it, which costs the VP a look.
 */
export function withdrawInboxEvent(page: Int32Array, sint: number, flag: number): boolean {
  const bit = 1 << (flag & 31)
  // ORDER: one read-modify-write against the VP's exchange of the same word: exactly one of the two gets the flag.
  return (Atomics.and(page, INBOX_FLAGS + sint * FLAG_WORDS + (flag >>> 5), ~bit) & bit) !== 0
}

/**
 * Moves the flags of `sint` from the inbox into the SIEF page, whose first word for this SINT is `ram[siefWord]`.
 * VP's thread, after the SINT's bit in INBOX_SUMMARY was cleared. True when a flag went from clear to set.
 */
export function moveEventFlags(
  page: Int32Array,
  sint: number,
  ram: Int32Array,
  siefWord: number,
): boolean {
  // ORDER: summary before flags. A flag raised after its word was taken finds the summary clear and announces anew.
  let groups = Atomics.exchange(page, INBOX_FLAG_SUMMARY + sint, 0)
  let raised = 0
  while (groups !== 0) {
    const group = 31 - Math.clz32(groups)
    groups &= ~(1 << group)
    const first = group * INBOX_GROUP_WORDS
    for (let word = first; word < first + INBOX_GROUP_WORDS; word++) {
      const at = INBOX_FLAGS + sint * FLAG_WORDS + word
      if (Atomics.load(page, at) === 0) continue
      const flags = Atomics.exchange(page, at, 0)
      // The guest clears flags while they are set here: a read-modify-write on its page, by the TLFS.
      raised |= flags & ~Atomics.or(ram, siefWord + word, flags)
    }
  }
  return raised !== 0
}
