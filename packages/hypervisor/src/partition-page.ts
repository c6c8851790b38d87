// HOT
// The partition page: one SharedArrayBuffer for each partition, shared by the root's thread and the threads of all
// its VPs. It holds the MSRs of partition scope, the connection table, the buffers of the message ports that this
// partition is connected to, what InstallIntercept asked for, and a block for each VP: the interrupts that are requested of it.
//
//   byte    0  partition MSRs (i64)              byte  1024  connection table, 4096 rows of two words
//         256  message queue tails                    36864  message buffers, 8 queues x 16 x 256 bytes
//         512  message slot sequences                 69632  intercepted ports, 65536 x 2 bits
//                                                     86016  VP blocks, 512 bytes each
//
//   VP block, by word   0 requested  8 of these by level  16 of these auto-EOI  24 summary
//
// The root keeps its own table of ports, connections and queue positions and never reads back what it wrote here.

import { HvStatus, PORT_MESSAGE_BUFFERS } from '@guestyard/hvdef'

import { MESSAGE_QUEUES_MAX, MESSAGE_WORDS, VECTOR_WORDS } from './vp-page.ts'
import type { OwnershipRow } from './vp-page.ts'

/** MSRs of partition scope, as indices of i64. */
export const REGISTER_GUEST_OS_ID = 0
export const REGISTER_HYPERCALL = 1
/** The latest reference time that any VP was told. */
export const REGISTER_LAST_REFERENCE_TIME = 2

/** Room for as many, of which the rest is not used. */
const REGISTER_COUNT = 12

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
/** One block a VP, in the order of their indices. */
const VP_BLOCKS: number = INTERCEPTED_PORTS + PORT_WORDS
const VP_BLOCK_WORDS = 128

/** Within a VP block. Vectors requested, those of them that are level-triggered, those that end by themselves. */
export const REQUESTED = 0
export const REQUESTED_LEVEL = 8
export const REQUESTED_AUTO_EOI = 16
/** bits 7:0 words of REQUESTED, 8 NMI. */
export const REQUEST_SUMMARY = 24
export const REQUEST_NMI = 0x100

/** Size of the page of a partition with so many VPs, in bytes. */
export function partitionPageBytes(vpCount: number): number {
  return vpBlock(vpCount) * Int32Array.BYTES_PER_ELEMENT
}

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
    REGISTER_COUNT * 2,
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
  row('TIME_CONTROL', TIME_CONTROL * 2, 2, 'root', 'VPs', 'an i64, a whole value'),
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
