// HOT
// The VP page: one SharedArrayBuffer for each VP, shared by the root's thread and the thread of that VP, and by
// nobody else. What the root has for the VP (messages by SINT, event flags, a ping) is the inbox; what the VP
// has for the root (event flags by connection slot, bits for message queues) is the outbox.
//
//   byte      0  control words                       byte  1024  inbox queue tails, heads
//           256  inbox: flag summary of each SINT           1280  intercept: the message
//           384  outbox: vectors ended                      4096  inbox: flags, 16 x 2048 bits
//           512  outbox: event flags, 2048 bits             8192  inbox: messages, 16 queues x 16 x 256 bytes
//           768  intercept: the answer
//
// Interrupts that are requested of the VP are not here but in its block of the partition page, which siblings reach too.
// Words 3 to 8 (root) and 19 to 23 (VP) are the dispatcher's: dispatch-state.ts.
//
// Every word is an i32 and is only touched through Atomics; message slots are plain and made visible by their
// queue's tail. The VP's thread may be hostile: the root takes each word it reads as a number of unknown value.

/** Message slots in each SINT's inbox queue. A power of two. */
export const INBOX_QUEUE_SLOTS = 16
/** Words of one message slot: an HV_MESSAGE of 256 bytes. */
export const MESSAGE_WORDS = 64
/** Event flags of one VP's outbox: the number of event slots that a partition's connections share. */
export const EVENT_SLOTS_MAX = 2048
/** Words of 2048 flags. */
export const FLAG_WORDS = 64

/** Words of a bit for each vector. */
export const VECTOR_WORDS = 8

const SINTS = 16

/** Who may do what to a range of words. Tests hold the table against overlaps. */
export interface OwnershipRow {
  readonly name: string
  /** First word, and how many. */
  readonly word: number
  readonly count: number
  readonly writtenBy: string
  readonly readBy: string
  readonly rule: string
}

/** bits 15:0 SINTs with event flags, 31:16 SINTs with messages. */
export const INBOX_SUMMARY = 0
/** Number of the host's latest ping. */
export const PING = 1
/** bits 15:0: SINTs whose queue was full when the root last tried. */
export const SPACE_WANTED = 2
/** The scheduler's grant, and whether the VP is to report what it does with it: see dispatch-state.ts. */
export const GRANT = 3
export const REPORTS = 4
/** Number of the latest intercept that the root has answered. */
export const INTERCEPT_DONE = 9
/** Bit 0: the register ExplicitSuspend; bit 1: the partition's property Suspend. Not 0: the VP may not run guest code. */
export const SUSPEND = 10
/**
 * bits 15:0 groups of 128 event slots, 23:16 message queues, 24: an inbox queue has room again, 25: an intercept,
 * 26: level interrupts ended, 27: the guest reports a crash, 28: it asks for a reset. 29 and up: the dispatcher's.
 */
export const OUTBOX_SUMMARY = 16
/** Number of the latest ping that the VP has seen. */
export const PONG = 17
/** As INBOX_SUMMARY, but what the SynIC's registers let through: SINT unmasked, page and controller on. */
export const DELIVERABLE = 18
/** What the VP did with its grant. */
export const RUN_STATE = 19
/** What the VP counted: hypercalls, interrupts taken. Nobody relies on them. */
export const VP_COUNTERS = 20
const VP_COUNTER_WORDS = 2
/** Number of the latest intercept that the VP has raised: it is suspended while INTERCEPT_DONE is another. */
export const INTERCEPT_RAISED = 24
/** Long spin waits that the guest reported. */
export const SPIN_WAITS = 25
/** One word a SINT: bit g says that flags 64 g to 64 g + 63 may be set. */
export const INBOX_FLAG_SUMMARY = 64
/** 256 vectors: level interrupts that the guest has ended. */
export const ENDED_VECTORS = 96
export const OUTBOX_FLAGS = 128
/** The answer to an intercept: registers as two words each, see intercepts/intercept-slot.ts. */
export const INTERCEPT_ANSWER = 192
export const INTERCEPT_ANSWER_WORDS = 32
export const INBOX_TAIL = 256
export const INBOX_HEAD = 272
/** An HV_MESSAGE: what the VP is suspended for. */
export const INTERCEPT_MESSAGE = 320
/** The registers of the guest that go with it. */
export const INTERCEPT_REGISTERS = 384
const INTERCEPT_REGISTERS_WORDS = 16
/** 16 x 64 words. */
export const INBOX_FLAGS = 1024
/** 16 queues x 16 slots x 64 words. */
export const INBOX_MESSAGES = 2048

/** Size of the page, in bytes. */
export const VP_PAGE_BYTES: number =
  (INBOX_MESSAGES + SINTS * INBOX_QUEUE_SLOTS * MESSAGE_WORDS) * Int32Array.BYTES_PER_ELEMENT

/** OUTBOX_SUMMARY: the first bit of the message queues, and how many there are. */
export const OUTBOX_QUEUE_SHIFT = 16
export const MESSAGE_QUEUES_MAX = 8
/** OUTBOX_SUMMARY: an inbox queue that was full has room. */
export const OUTBOX_SPACE = 0x100_0000
/** OUTBOX_SUMMARY: INTERCEPT_MESSAGE holds a new message. */
export const OUTBOX_INTERCEPT = 0x200_0000
/** OUTBOX_SUMMARY: ENDED_VECTORS is not empty. */
export const OUTBOX_ENDED = 0x400_0000
/** OUTBOX_SUMMARY: the crash registers of the partition page hold a report. */
export const OUTBOX_CRASH = 0x800_0000
/** OUTBOX_SUMMARY: the partition is to be reset. */
export const OUTBOX_RESET = 0x1000_0000
/** OUTBOX_SUMMARY: RUN_STATE changed. */
export const OUTBOX_DISPATCH = 0x2000_0000
/** A bit of OUTBOX_SUMMARY covers this many event slots, as a shift, and this many words of flags. */
export const OUTBOX_GROUP_SHIFT = 7
export const OUTBOX_GROUP_WORDS = 4
/** A bit of INBOX_FLAG_SUMMARY covers this many flags, as a shift, and this many words. */
export const INBOX_GROUP_SHIFT = 6
export const INBOX_GROUP_WORDS = 2
/** INBOX_SUMMARY and DELIVERABLE: the first bit of the messages. */
export const INBOX_MESSAGE_SHIFT = 16

/** The VP page, word by word. */
export const VP_PAGE: readonly OwnershipRow[] = [
  row(
    'INBOX_SUMMARY',
    INBOX_SUMMARY,
    1,
    'root: or; VP: and',
    'both',
    'set after what it announces; cleared before that is read',
  ),
  row('PING', PING, 1, 'root', 'VP', 'any change asks for a PONG'),
  row('GRANT', GRANT, 1, 'root', 'VP', 'looked at on every exit from guest code'),
  row('REPORTS', REPORTS, 1, 'root', 'VP', 'written before the GRANT it belongs to'),
  row('RUN_STATE', RUN_STATE, 1, 'VP', 'root', 'announced by OUTBOX_SUMMARY; root validates'),
  row('VP_COUNTERS', VP_COUNTERS, VP_COUNTER_WORDS, 'VP', 'root', 'a publication, for people'),
  row(
    'SPACE_WANTED',
    SPACE_WANTED,
    1,
    'root: or, and; VP: and',
    'both',
    'set before the head is read again',
  ),
  row('INTERCEPT_DONE', INTERCEPT_DONE, 1, 'root', 'VP', 'stored after the answer'),
  row('SUSPEND', SUSPEND, 1, 'root', 'VP', 'looked at on every way into the guest'),
  row('INTERCEPT_RAISED', INTERCEPT_RAISED, 1, 'VP', 'root', 'stored after the message'),
  row('SPIN_WAITS', SPIN_WAITS, 1, 'VP', 'root', 'a running count: a hint'),
  row(
    'ENDED_VECTORS',
    ENDED_VECTORS,
    VECTOR_WORDS,
    'VP: or; root: exchange',
    'both',
    'set before OUTBOX_SUMMARY; taken after it',
  ),
  row(
    'INTERCEPT_ANSWER',
    INTERCEPT_ANSWER,
    INTERCEPT_ANSWER_WORDS,
    'root',
    'VP',
    'plain; visible by INTERCEPT_DONE',
  ),
  row(
    'INTERCEPT_MESSAGE',
    INTERCEPT_MESSAGE,
    MESSAGE_WORDS,
    'VP',
    'root',
    'plain; visible by INTERCEPT_RAISED',
  ),
  row(
    'INTERCEPT_REGISTERS',
    INTERCEPT_REGISTERS,
    INTERCEPT_REGISTERS_WORDS,
    'VP',
    'root',
    'plain; visible by INTERCEPT_RAISED',
  ),
  row('OUTBOX_SUMMARY', OUTBOX_SUMMARY, 1, 'VP: or; root: exchange', 'both', 'as INBOX_SUMMARY'),
  row('PONG', PONG, 1, 'VP', 'root', 'equals PING once the VP has been here'),
  row('DELIVERABLE', DELIVERABLE, 1, 'VP', 'root', 'a publication: the VP keeps its own'),
  row(
    'INBOX_FLAG_SUMMARY',
    INBOX_FLAG_SUMMARY,
    SINTS,
    'root: or; VP: exchange',
    'both',
    'set after the flag; cleared before it',
  ),
  row(
    'OUTBOX_FLAGS',
    OUTBOX_FLAGS,
    FLAG_WORDS,
    'VP: or; root: exchange',
    'both',
    'clear to set announces',
  ),
  row('INBOX_TAIL', INBOX_TAIL, SINTS, 'root', 'VP', 'published after the slot is written'),
  row(
    'INBOX_HEAD',
    INBOX_HEAD,
    SINTS,
    'VP',
    'root',
    'published after the slot is copied out; root validates',
  ),
  row(
    'INBOX_FLAGS',
    INBOX_FLAGS,
    SINTS * FLAG_WORDS,
    'root: or; VP: exchange',
    'both',
    'clear to set announces',
  ),
  row(
    'INBOX_MESSAGES',
    INBOX_MESSAGES,
    SINTS * INBOX_QUEUE_SLOTS * MESSAGE_WORDS,
    'root',
    'VP',
    'plain; visible by INBOX_TAIL',
  ),
]

function row(
  name: string,
  word: number,
  count: number,
  writtenBy: string,
  readBy: string,
  rule: string,
): OwnershipRow {
  return { name, word, count, writtenBy, readBy, rule }
}

/** First word of a slot of a SINT's inbox queue. `position` is the queue's running count. */
export function inboxSlot(sint: number, position: number): number {
  const slot = sint * INBOX_QUEUE_SLOTS + (position & (INBOX_QUEUE_SLOTS - 1))
  return INBOX_MESSAGES + slot * MESSAGE_WORDS
}
