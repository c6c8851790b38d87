// Pipe framing over real rings: messages, streams, partial reads, and what no pipe carries.

import { PACKET_TYPE_COMPLETION, PACKET_TYPE_DATA_INBAND, PipeMode } from '@guestyard/hvdef'
import { RingStatus, createRingPair, contiguousRingPages, initializeRing } from '@guestyard/ring'
import type { RingPair } from '@guestyard/ring'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PipeReader, PipeStatus, PipeWriter } from '@guestyard/vmbus/pipe'

const PAGE = 4096

/** Two ends over a ring of `pages` data pages; what `from` sends, `to` receives. */
function ends(pages = 4): { from: RingPair; to: RingPair } {
  const shared = new SharedArrayBuffer((pages + 3) * PAGE)
  const out = contiguousRingPages(shared, 0, pages * PAGE)
  const back = contiguousRingPages(shared, (pages + 1) * PAGE, PAGE)
  initializeRing(out)
  initializeRing(back)
  return {
    from: createRingPair(out, back, { kernel: 'typed' }),
    to: createRingPair(back, out, { kernel: 'typed' }),
  }
}

function sendRaw(from: RingPair, payload: number[], type = PACKET_TYPE_DATA_INBAND): void {
  from.outgoing.staging.set(payload)
  from.outgoing.write(0, payload.length, type, 0, 0, 0)
  from.outgoing.commit()
}

describe('message mode', () => {
  test('a message is an 8-byte header and its bytes', () => {
    const { from, to } = ends()
    const writer = new PipeWriter(from.outgoing, PipeMode.MESSAGE)
    from.outgoing.staging.set([1, 2, 3, 4, 5], 8)
    expect(writer.writeMessage(0, 5, 0x11, 0x22)).toBe(RingStatus.OK)
    expect(writer.commit()).toBe(false)
    expect(to.incoming.drain(1)).toBe(1)
    const at = to.incoming.payloadAt(0)
    expect([...to.incoming.arena.subarray(at, at + 16)]).toEqual([
      1, 0, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0,
    ])
    expect(to.incoming.flags(0)).toBe(0)
  })

  test('each message arrives whole, with its length and transaction id', () => {
    const { from, to } = ends()
    const writer = new PipeWriter(from.outgoing, PipeMode.MESSAGE)
    const reader = new PipeReader(to.incoming, PipeMode.MESSAGE)
    for (const length of [0, 1, 7, 8, 9, 1000]) {
      from.outgoing.staging.fill(length & 0xff, 8, 8 + length)
      expect(writer.writeMessage(0, length, length, -length)).toBe(RingStatus.OK)
    }
    writer.commit()
    for (const length of [0, 1, 7, 8, 9, 1000]) {
      expect(reader.next()).toBe(length)
      const message = to.incoming.arena.subarray(reader.messageAt, reader.messageAt + length)
      expect(message.every((byte) => byte === (length & 0xff))).toBe(true)
      expect([reader.tidLow, reader.tidHigh]).toEqual([length, -length | 0])
    }
    expect(reader.next()).toBe(PipeStatus.EMPTY)
    expect(reader.commit()).toBe(false)
    expect(reader.unmask()).toBe(false)
  })

  test('space is given back when the batch is read', () => {
    const { from, to } = ends(1)
    const writer = new PipeWriter(from.outgoing, PipeMode.MESSAGE)
    const reader = new PipeReader(to.incoming, PipeMode.MESSAGE)
    writer.writeMessage(0, 100)
    writer.writeMessage(0, 100)
    writer.commit()
    const free = from.outgoing.writableBytes()
    reader.next()
    reader.commit()
    expect(reader.hasUnread).toBe(true)
    expect(reader.unmask()).toBe(true)
    expect(from.outgoing.writableBytes()).toBe(free)
    reader.next()
    reader.commit()
    expect(from.outgoing.writableBytes()).toBeGreaterThan(free)
  })

  test('a full ring refuses the message whole', () => {
    const { from } = ends(1)
    const writer = new PipeWriter(from.outgoing, PipeMode.MESSAGE)
    expect(writer.writeMessage(0, 3000)).toBe(RingStatus.OK)
    expect(writer.writeMessage(0, 3000)).toBe(RingStatus.FULL)
    expect(writer.writeMessage(0, 5000)).toBe(RingStatus.TOO_BIG)
  })
})

describe('what no pipe carries is malformed, for good', () => {
  const cases: [string, number[], number?][] = [
    ['a packet without a header', []],
    ['a header that is announced longer than its packet', [1, 0, 0, 0, 9, 0, 0, 0]],
    ['a length above 16384', [1, 0, 0, 0, 1, 0x40, 0, 0, ...Array.from({ length: 8 }, () => 0)]],
    ['a length near 2^32', [1, 0, 0, 0, 255, 255, 255, 255]],
    ['a partial header of the peer', [2, 0, 0, 0, 8, 0, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['GPA-direct set-up', [3, 0, 0, 0, 0, 0, 0, 0]],
    ['another type', [0, 0, 0, 0, 0, 0, 0, 0]],
    ['a completion', [1, 0, 0, 0, 0, 0, 0, 0], PACKET_TYPE_COMPLETION],
  ]
  test.each(cases)('%s', (_, payload, type) => {
    for (const mode of [PipeMode.BYTE, PipeMode.MESSAGE]) {
      const { from, to } = ends(8)
      sendRaw(from, payload, type)
      sendRaw(from, [1, 0, 0, 0, 0, 0, 0, 0])
      const reader = new PipeReader(to.incoming, mode)
      const read = (): number =>
        mode === PipeMode.BYTE ? reader.read(new Uint8Array(8), 0, 8) : reader.next()
      expect(read()).toBe(PipeStatus.MALFORMED)
      expect(read()).toBe(PipeStatus.MALFORMED)
    }
  })

  test('arbitrary payloads give bytes or a status, and never throw', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (payloads) => {
        const { from, to } = ends()
        for (const payload of payloads) sendRaw(from, [...payload])
        const reader = new PipeReader(to.incoming, PipeMode.BYTE)
        const into = new Uint8Array(16)
        for (let n = 0; n < 100; n += 1) {
          const read = reader.read(into, 0, into.length)
          expect(read).toBeLessThanOrEqual(into.length)
          expect(read).not.toBe(0)
          if (read < 0) break
        }
      }),
    )
  })

  test('a dead ring says so', () => {
    const { from, to } = ends()
    const reader = new PipeReader(to.incoming, PipeMode.MESSAGE)
    const writer = new PipeWriter(from.outgoing, PipeMode.BYTE)
    to.close()
    from.close()
    expect(reader.next()).toBe(PipeStatus.FAULT)
    expect(writer.write(new Uint8Array(4), 0, 4)).toBe(RingStatus.FAULT)
  })
})

describe('byte mode', () => {
  test('a stream arrives in order, however it is written and read', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 30_000 }),
        fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1 }),
        fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1 }),
        fc.integer({ min: 1, max: 5 }),
        (sent, writes, reads, pages) => {
          const { from, to } = ends(pages)
          const writer = new PipeWriter(from.outgoing, PipeMode.BYTE)
          const reader = new PipeReader(to.incoming, PipeMode.BYTE)
          const got = new Uint8Array(sent.length)
          let [written, read, turn, finished, ended] = [0, 0, 0, false, false]
          while (!ended) {
            const wanted = Math.min(writes[turn % writes.length] ?? 1, sent.length - written)
            if (!finished) written += writer.write(sent, written, wanted)
            if (written === sent.length && !finished) finished = writer.finish() === RingStatus.OK
            writer.commit()
            // Room for one byte more than is due, so that the end can be met.
            const room = Math.min(reads[turn % reads.length] ?? 1, sent.length - read)
            const into = room === 0 ? new Uint8Array(1) : got
            const count = reader.read(into, room === 0 ? 0 : read, Math.max(room, 1))
            if (count === PipeStatus.ENDED) ended = true
            else if (count > 0) read += count
            else expect(count).toBe(PipeStatus.EMPTY)
            reader.commit()
            turn += 1
          }
          expect(read).toBe(sent.length)
          expect(got).toEqual(sent)
          expect(reader.read(got, 0, 1)).toBe(PipeStatus.ENDED)
        },
      ),
      { numRuns: 100 },
    )
  })

  test('a packet read in part carries its state as a partial header, in the reader’s copy alone', () => {
    const { from, to } = ends()
    const writer = new PipeWriter(from.outgoing, PipeMode.BYTE)
    writer.write(Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), 0, 10)
    writer.commit()
    const reader = new PipeReader(to.incoming, PipeMode.BYTE)
    const into = new Uint8Array(10)
    expect(reader.read(into, 0, 3)).toBe(3)
    const at = to.incoming.payloadAt(0)
    expect(to.incoming.arenaView.getUint32(at, true)).toBe(2)
    expect(to.incoming.arenaView.getUint32(at + 4, true)).toBe((3 << 16) | 10)
    expect(reader.read(into, 3, 4)).toBe(4)
    expect(to.incoming.arenaView.getUint32(at + 4, true)).toBe((7 << 16) | 10)
    expect(reader.read(into, 7, 10)).toBe(3)
    expect([...into]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  test('the end stays in the ring until everything before it has been read', () => {
    const { from, to } = ends()
    const writer = new PipeWriter(from.outgoing, PipeMode.BYTE)
    const reader = new PipeReader(to.incoming, PipeMode.BYTE)
    const empty = from.outgoing.writableBytes()
    writer.write(Uint8Array.from([1, 2]), 0, 2)
    expect(writer.finish()).toBe(RingStatus.OK)
    expect(writer.finish()).toBe(RingStatus.OK)
    writer.commit()
    const into = new Uint8Array(8)
    expect(reader.read(into, 0, 8)).toBe(2)
    reader.commit()
    expect(from.outgoing.writableBytes()).toBeLessThan(empty)
    expect(reader.read(into, 0, 8)).toBe(PipeStatus.ENDED)
    reader.commit()
    expect(from.outgoing.writableBytes()).toBe(empty)
    expect(() => writer.write(into, 0, 1)).toThrow(/after the end/)
  })

  test('a full ring takes what fits, in packets of at most a quarter of it', () => {
    const { from, to } = ends(4)
    const writer = new PipeWriter(from.outgoing, PipeMode.BYTE)
    const bytes = new Uint8Array(100_000)
    const taken = writer.write(bytes, 0, bytes.length)
    expect(taken).toBeGreaterThan(12_000)
    expect(taken).toBeLessThan(4 * PAGE)
    writer.commit()
    expect(to.incoming.drain(100)).toBe(3)
  })
})
