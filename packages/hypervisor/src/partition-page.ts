// HOT
// The partition page: one SharedArrayBuffer for each partition, shared by the root's thread and the threads of all
// its VPs. It holds the MSRs of partition scope, the connection table, the buffers of the message ports that this
// partition is connected to, what InstallIntercept asked for, and a block for each VP: the interrupts that are requested of it.
//
//   byte    0  partition MSRs (i64)              byte  1024  connection table, 4096 rows of two words
//         256  message queue tails                    36864  message buffers, 8 queues x 16 x 256 bytes
//         512  message slot sequences                 69632  intercepted ports, 65536 x 2 bits
//                                                     86016  what the partition's overlays cover, 2 pages
//                                                     94208  VP blocks, 512 bytes each
//                                                    126976  pages that have an overlay, a bit each
//
//   VP block, by word   0 requested  8 of these by level  16 of these auto-EOI  24 summary  25 start state
//                      26 translations kept  27 flushes asked for  28 flushes done  64 start context
//
// The root keeps its own table of ports, connections and queue positions and never reads back what it wrote here.

import { GUEST_MEMORY_MAX_BYTES } from '@guestyard/guestmem'
import { HvStatus, PAGE_SIZE, PORT_MESSAGE_BUFFERS } from '@guestyard/hvdef'

import { MESSAGE_QUEUES_MAX, MESSAGE_WORDS, VECTOR_WORDS } from './vp-page.ts'
import type { OwnershipRow } from './vp-page.ts'

/** VPs of one partition, at most. */
export const VPS_MAX = 64

/** MSRs of partition scope, as indices of i64. */
export const REGISTER_GUEST_OS_ID = 0
export const REGISTER_HYPERCALL = 1
/** The latest reference time that any VP was told. */
export const REGISTER_LAST_REFERENCE_TIME = 2

/** The five crash parameters, and what was written to CRASH_CTL. */
export const REGISTER_CRASH_P0 = 3
export const REGISTER_CRASH_CTL = 8
export const REGISTER_TSC_INVARIANT = 9
export const REGISTER_REFERENCE_TSC = 10
/** Words of all of them. */
const REGISTER_WORDS = 22

/** Changed after every change that a VP may have kept a copy of: a connection, or the enable bit of HYPERCALL. */
export const CALL_GENERATION = 32
/** MSR accesses that are intercepted, as HvInterceptAccess. */
export const INTERCEPTED_ACCESSES = 33
/** CPUID leaves that are intercepted: how many, and their numbers. */
export const INTERCEPTED_LEAF_COUNT = 34
export const INTERCEPTED_LEAVES = 40
export const INTERCEPTED_LEAVES_MAX = 16
/** As an index of i64: what the parent did to the partition's time. See partition-time.ts. */
export const TIME_CONTROL = 28
/** The partition's overlays, hypercall page and reference TSC page: 1 while a VP moves it; where it is, see overlays/. */
export const OVERLAY_MOVING = 58
export const OVERLAY_PLACE = 60
/** Changed after an overlay left a page that others may want. */
export const OVERLAY_GENERATION = 62
/** One word a queue: tickets taken by posters. */
export const QUEUE_TAIL = 64
/** 8 x 16 words: slot s is free for ticket t when it holds t, and full when it holds t + 1. */
export const SLOT_SEQUENCE = 128
/** 4096 rows: key, descriptor. */
export const CONNECTION_TABLE = 256
export const CONNECTION_ROWS = 4096
export const MESSAGE_BUFFERS = 9216

/** Port p: bits 2 (p & 15) read and 2 (p & 15) + 1 write of word p >>> 4. */
export const INTERCEPTED_PORTS: number =
  MESSAGE_BUFFERS + MESSAGE_QUEUES_MAX * PORT_MESSAGE_BUFFERS * MESSAGE_WORDS
const PORT_WORDS = 4096
/** What the hypercall page and the reference TSC page cover, or hold while something covers them: 1024 words each. */
export const OVERLAY_ASIDE: number = INTERCEPTED_PORTS + PORT_WORDS
export const PAGE_WORDS = 1024
const PARTITION_OVERLAYS = 2
/** One block a VP, in the order of their indices. */
const VP_BLOCKS: number = OVERLAY_ASIDE + PARTITION_OVERLAYS * PAGE_WORDS
const VP_BLOCK_WORDS = 128

/** Within a VP block. Vectors requested, those of them that are level-triggered, those that end by themselves. */
export const REQUESTED = 0
export const REQUESTED_LEVEL = 8
export const REQUESTED_AUTO_EOI = 16
/** bits 7:0 words of REQUESTED, 8 NMI, 9 a start context, 10 a flush, 11 another time. */
export const REQUEST_SUMMARY = 24
export const REQUEST_NMI = 0x100
/** REQUEST_SUMMARY: a start context and a flush have words of their own, these bits only wake. */
export const REQUEST_START = 0x200
export const REQUEST_FLUSH = 0x400
/** REQUEST_SUMMARY: the parent changed the partition's time. */
export const REQUEST_TIME = 0x800
/** See siblings.ts. */
export const START_STATE = 25
export const TRANSLATIONS = 26
export const FLUSH_REQUESTED = 27
export const FLUSH_DONE = 28
/** HV_INITIAL_VP_CONTEXT. */
export const START_CONTEXT = 64
export const START_CONTEXT_WORDS = 56

/** A bit for each page of RAM that has an overlay: see overlays/claims.ts. */
export const CLAIMED_PAGES: number = VP_BLOCKS + VPS_MAX * VP_BLOCK_WORDS
export const CLAIM_WORDS: number = GUEST_MEMORY_MAX_BYTES / PAGE_SIZE / 32

/** Size of the page, in bytes. Most of it is zeros that no partition of few VPs and little RAM ever touches. */
export const PARTITION_PAGE_BYTES: number =
  (CLAIMED_PAGES + CLAIM_WORDS) * Int32Array.BYTES_PER_ELEMENT

/** First word of a VP's block. */
export function vpBlock(vp: number): number {
  return VP_BLOCKS + vp * VP_BLOCK_WORDS
}

/** Words of a message buffer before its payload: type, size in bytes, sending VP, zero. */
export const BUFFER_TYPE = 0
export const BUFFER_SIZE = 1
export const BUFFER_VP = 2
export const BUFFER_PAYLOAD = 4

/** The partition page, word by word. */
export const PARTITION_PAGE: readonly OwnershipRow[] = [
  row(
    'partition MSRs',
    0,
    REGISTER_WORDS,
    'VPs: compareExchange',
    'VPs',
    'i64, each a whole value',
  ),
  row(
    'CALL_GENERATION',
    CALL_GENERATION,
    1,
    'root and VPs: add',
    'VPs',
    'added to after the change',
  ),
  row(
    'QUEUE_TAIL',
    QUEUE_TAIL,
    MESSAGE_QUEUES_MAX,
    'VPs: compareExchange',
    'VPs',
    'a ticket is a slot',
  ),
  row(
    'SLOT_SEQUENCE',
    SLOT_SEQUENCE,
    MESSAGE_QUEUES_MAX * PORT_MESSAGE_BUFFERS,
    'VP that holds the ticket, then root',
    'both',
    'published after the buffer is written, or copied out',
  ),
  row(
    'CONNECTION_TABLE',
    CONNECTION_TABLE,
    CONNECTION_ROWS * 2,
    'root',
    'VPs',
    'descriptor before key',
  ),
  row(
    'MESSAGE_BUFFERS',
    MESSAGE_BUFFERS,
    MESSAGE_QUEUES_MAX * PORT_MESSAGE_BUFFERS * MESSAGE_WORDS,
    'VP that holds the ticket',
    'root',
    'plain; visible by SLOT_SEQUENCE',
  ),
  row('INTERCEPTED_ACCESSES', INTERCEPTED_ACCESSES, 1, 'root', 'VPs', 'looked at by each access'),
  row('INTERCEPTED_LEAF_COUNT', INTERCEPTED_LEAF_COUNT, 1, 'root', 'VPs', 'stored after the leaf'),
  row(
    'INTERCEPTED_LEAVES',
    INTERCEPTED_LEAVES,
    INTERCEPTED_LEAVES_MAX,
    'root',
    'VPs',
    'before their count',
  ),
  row(
    'CLAIMED_PAGES',
    CLAIMED_PAGES,
    CLAIM_WORDS,
    'VPs: or, and',
    'VPs',
    'set before an overlay is shown; cleared after it is hidden',
  ),
  row('TIME_CONTROL', TIME_CONTROL * 2, 2, 'root', 'VPs', 'an i64, a whole value'),
  row(
    'OVERLAY_MOVING',
    OVERLAY_MOVING,
    PARTITION_OVERLAYS,
    'VPs: compareExchange',
    'VPs',
    'a lock that nobody waits for',
  ),
  row(
    'OVERLAY_PLACE',
    OVERLAY_PLACE,
    PARTITION_OVERLAYS,
    'VP that has OVERLAY_MOVING',
    'VPs',
    'stored after the pages were swapped',
  ),
  row(
    'OVERLAY_GENERATION',
    OVERLAY_GENERATION,
    1,
    'VPs: add',
    'VPs',
    'added to after a page was given back',
  ),
  row(
    'OVERLAY_ASIDE',
    OVERLAY_ASIDE,
    PARTITION_OVERLAYS * PAGE_WORDS,
    'VP that has OVERLAY_MOVING',
    'the same',
    'plain; visible by OVERLAY_MOVING',
  ),
  row(
    'INTERCEPTED_PORTS',
    INTERCEPTED_PORTS,
    PORT_WORDS,
    'root',
    'VPs',
    'looked at by each port access',
  ),
]

/** A VP block, word by word. */
export const VP_BLOCK: readonly OwnershipRow[] = [
  row(
    'REQUESTED',
    REQUESTED,
    VECTOR_WORDS,
    'root and siblings: or; VP: exchange',
    'VP',
    'clear to set announces',
  ),
  row(
    'REQUESTED_LEVEL',
    REQUESTED_LEVEL,
    VECTOR_WORDS,
    'root and siblings: or; VP: and',
    'VP',
    'set before REQUESTED; cleared after it was taken',
  ),
  row(
    'REQUESTED_AUTO_EOI',
    REQUESTED_AUTO_EOI,
    VECTOR_WORDS,
    'root and siblings: or; VP: and',
    'VP',
    'as REQUESTED_LEVEL',
  ),
  row(
    'REQUEST_SUMMARY',
    REQUEST_SUMMARY,
    1,
    'root and siblings: or; VP: exchange',
    'VP',
    'set after what it announces; taken before that is read',
  ),
  row(
    'START_STATE',
    START_STATE,
    1,
    'VPs: compareExchange, then who won; VP',
    'VPs',
    'stored after the context',
  ),
  row('TRANSLATIONS', TRANSLATIONS, 1, 'VP', 'VPs', 'before it runs guest code'),
  row(
    'FLUSH_REQUESTED',
    FLUSH_REQUESTED,
    1,
    'siblings: add',
    'VP',
    'added to after the guest changed its tables',
  ),
  row('FLUSH_DONE', FLUSH_DONE, 1, 'VP', 'siblings', 'stored after the flush'),
  row(
    'START_CONTEXT',
    START_CONTEXT,
    START_CONTEXT_WORDS,
    'VP that won START_STATE',
    'VP',
    'plain; visible by START_STATE',
  ),
]

/** A VP looks for a ticket this often while other VPs of its partition take them. */
const TICKET_ATTEMPTS_MAX = 64

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

/** First word of the buffer of `ticket` in `queue`. */
export function messageBuffer(queue: number, ticket: number): number {
  return (
    MESSAGE_BUFFERS +
    (queue * PORT_MESSAGE_BUFFERS + (ticket & (PORT_MESSAGE_BUFFERS - 1))) * MESSAGE_WORDS
  )
}

/** Word that holds the sequence of `ticket`'s slot in `queue`. */
export function slotSequence(queue: number, ticket: number): number {
  return SLOT_SEQUENCE + queue * PORT_MESSAGE_BUFFERS + (ticket & (PORT_MESSAGE_BUFFERS - 1))
}

/** Empties a queue. Root's thread, before any VP has the page. */
export function resetQueue(page: Int32Array, queue: number): void {
  for (let slot = 0; slot < PORT_MESSAGE_BUFFERS; slot++) {
    Atomics.store(page, slotSequence(queue, slot), slot)
  }
  Atomics.store(page, QUEUE_TAIL + queue, 0)
}

/**
 * Puts a message into a port's queue: `payload` words from `payloadAt`, `size` bytes (0 to 240), copied whole.
 * VP's thread. SUCCESS, or INSUFFICIENT_BUFFERS when all sixteen buffers are in use.
 */
export function postToQueue(
  page: Int32Array,
  queue: number,
  vp: number,
  type: number,
  size: number,
  payload: Int32Array,
  payloadAt: number,
): HvStatus {
  for (let attempt = 0; attempt < TICKET_ATTEMPTS_MAX; attempt++) {
    const ticket = Atomics.load(page, QUEUE_TAIL + queue)
    const sequence = slotSequence(queue, ticket)
    const lag = (Atomics.load(page, sequence) - ticket) | 0
    if (lag < 0) return HvStatus.INSUFFICIENT_BUFFERS
    // lag > 0: another VP took this ticket after the tail was read, so there is a newer tail to read.
    if (lag > 0) continue
    if (Atomics.compareExchange(page, QUEUE_TAIL + queue, ticket, (ticket + 1) | 0) !== ticket) {
      continue
    }
    const buffer = messageBuffer(queue, ticket)
    page[buffer + BUFFER_TYPE] = type
    page[buffer + BUFFER_SIZE] = size
    page[buffer + BUFFER_VP] = vp
    const words = (size + 3) >>> 2
    for (let i = 0; i < words; i++) page[buffer + BUFFER_PAYLOAD + i] = payload[payloadAt + i]!
    // ORDER: the store publishes the plain writes above; the root reads the buffer only after it has seen it.
    Atomics.store(page, sequence, (ticket + 1) | 0)
    return HvStatus.SUCCESS
  }
  return HvStatus.INSUFFICIENT_BUFFERS
}
