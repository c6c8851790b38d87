import { describe, expect, test } from 'vitest'

import {
  CONNECTION_TABLE,
  MESSAGE_BUFFERS,
  CLAIMED_PAGES,
  PARTITION_PAGE,
  PARTITION_PAGE_BYTES,
  QUEUE_TAIL,
  SLOT_SEQUENCE,
  VP_BLOCK,
  messageBuffer,
  slotSequence,
  vpBlock,
} from '../src/partition-page.ts'
import {
  DELIVERABLE,
  ENDED_VECTORS,
  GRANT,
  INBOX_FLAGS,
  INBOX_FLAG_SUMMARY,
  INBOX_HEAD,
  INBOX_MESSAGES,
  INBOX_SUMMARY,
  INBOX_TAIL,
  INTERCEPT_ANSWER,
  INTERCEPT_DONE,
  INTERCEPT_MESSAGE,
  INTERCEPT_RAISED,
  OUTBOX_FLAGS,
  OUTBOX_SUMMARY,
  PING,
  PONG,
  SPACE_WANTED,
  SUSPEND,
  VP_PAGE,
  VP_PAGE_BYTES,
  inboxSlot,
} from '../src/vp-page.ts'

describe.each([
  ['VP page', VP_PAGE, VP_PAGE_BYTES],
  ['partition page', PARTITION_PAGE, PARTITION_PAGE_BYTES],
  ['VP block', VP_BLOCK, (vpBlock(1) - vpBlock(0)) * 4],
])('%s', (_, page, bytes) => {
  test('no two rows share a word, and none lies outside the page', () => {
    const rows = page.toSorted((a, b) => a.word - b.word)
    let end = 0
    for (const row of rows) {
      expect(row.word, row.name).toBeGreaterThanOrEqual(end)
      end = row.word + row.count
    }
    expect(end * 4).toBeLessThanOrEqual(bytes)
  })

  test('every row names who writes it', () => {
    for (const row of page) expect(row.writtenBy, row.name).not.toBe('')
  })
})

test('the VP page has the byte layout its drawing shows', () => {
  const at = (word: number) => word * 4
  expect([INBOX_SUMMARY, PING, SPACE_WANTED, GRANT].map(at)).toEqual([0, 4, 8, 12])
  expect([OUTBOX_SUMMARY, PONG, DELIVERABLE].map(at)).toEqual([64, 68, 72])
  expect([INBOX_FLAG_SUMMARY, OUTBOX_FLAGS, INBOX_TAIL, INBOX_HEAD].map(at)).toEqual([
    256, 512, 1024, 1088,
  ])
  expect([ENDED_VECTORS, INTERCEPT_ANSWER, INTERCEPT_MESSAGE].map(at)).toEqual([384, 768, 1280])
  expect([INTERCEPT_DONE, SUSPEND, INTERCEPT_RAISED].map(at)).toEqual([36, 40, 96])
  expect([INBOX_FLAGS, INBOX_MESSAGES].map(at)).toEqual([4096, 8192])
  expect(VP_PAGE_BYTES).toBe(8192 + 16 * 16 * 256)
})

test('words 5 to 8, 22 and 23 of the VP page are left to the dispatcher', () => {
  const free = [5, 6, 7, 8, 22, 23]
  for (const row of VP_PAGE) {
    for (const word of free) {
      expect(word < row.word || word >= row.word + row.count, row.name).toBe(true)
    }
  }
})

test('what the root writes to and what the VP writes to lie on different cache lines', () => {
  const line = (word: number) => Math.trunc(word / 16)
  expect(line(INBOX_SUMMARY)).not.toBe(line(OUTBOX_SUMMARY))
  expect(line(INBOX_TAIL)).not.toBe(line(INBOX_HEAD))
  expect(line(INBOX_FLAG_SUMMARY)).not.toBe(line(OUTBOX_FLAGS))
})

test('the partition page has the byte layout its drawing shows', () => {
  expect(
    [QUEUE_TAIL, SLOT_SEQUENCE, CONNECTION_TABLE, MESSAGE_BUFFERS].map((word) => word * 4),
  ).toEqual([256, 512, 1024, 36864])
  expect([vpBlock(0), vpBlock(3)].map((word) => word * 4)).toEqual([94208, 94208 + 3 * 512])
  expect(CLAIMED_PAGES * 4).toBe(94208 + 64 * 512)
  expect(PARTITION_PAGE_BYTES).toBe(126976 + 2 ** 20 / 8)
})

test('positions and tickets use sixteen slots in turn', () => {
  expect(inboxSlot(0, 0)).toBe(2048)
  expect(inboxSlot(3, 17)).toBe(2048 + (3 * 16 + 1) * 64)
  expect(messageBuffer(7, 31)).toBe(9216 + (7 * 16 + 15) * 64)
  expect(slotSequence(1, 16)).toBe(128 + 16)
})
