import fc from 'fast-check'
import { expect, test } from 'vitest'
import { channelPageOffset, channelRing } from '../../src/channel-pair.ts'
import { createRingPair } from '../../src/ring-pair.ts'
import {
  type ChannelPort,
  type TypedChannel,
  channelPair,
  openBytes,
  openMessages,
} from '../../src/messages/index.ts'
import { FrameKind } from '../../src/messages/frames.ts'

const IN_BAND = 6

/** A peer that writes what it likes: the raw ring ends of side 1. */
function rawPeer(port: ChannelPort): {
  write(kind: number, total: number, payload: Uint8Array, type?: number): void
} {
  const send = channelRing(port.memory, port.dataBytes, 1)
  const receive = channelRing(port.memory, port.dataBytes, 0)
  const { outgoing } = createRingPair(send, receive)
  return {
    write(kind, total, payload, type = IN_BAND): void {
      outgoing.staging.set(payload)
      expect(outgoing.send(0, payload.length, type, 0, kind, total)).toBeGreaterThanOrEqual(0)
    },
  }
}

const eight = new Uint8Array(8)
const wrongFrames: readonly [string, (peer: ReturnType<typeof rawPeer>) => void][] = [
  ['an unknown kind', (peer) => peer.write(77, 8, eight)],
  ['kind zero', (peer) => peer.write(0, 0, eight)],
  ['a length beyond the packet', (peer) => peer.write(FrameKind.message, 9, eight)],
  ['a length far below the packet', (peer) => peer.write(FrameKind.message, 0, eight)],
  ['a negative length', (peer) => peer.write(FrameKind.message, -1, eight)],
  ['a middle without a first', (peer) => peer.write(FrameKind.middle, 100, eight)],
  ['a last without a first', (peer) => peer.write(FrameKind.last, 8, eight)],
  ['a message announced larger than allowed', (peer) => peer.write(FrameKind.first, -1, eight)],
  ['a first that is already all of it', (peer) => peer.write(FrameKind.first, 8, eight)],
  [
    'a total that changes',
    (peer) => {
      peer.write(FrameKind.first, 100, eight)
      peer.write(FrameKind.middle, 101, eight)
    },
  ],
  [
    'a message inside another',
    (peer) => {
      peer.write(FrameKind.first, 100, eight)
      peer.write(FrameKind.message, 8, eight)
    },
  ],
  [
    'an end inside a message',
    (peer) => {
      peer.write(FrameKind.first, 100, eight)
      peer.write(FrameKind.end, 0, new Uint8Array(0))
    },
  ],
  [
    'bytes that are no msgpack',
    (peer) => peer.write(FrameKind.message, 2, new Uint8Array([0xc1, 0xdf])),
  ],
  [
    'an array of four billion',
    (peer) => peer.write(FrameKind.message, 5, new Uint8Array([0xdd, 255, 255, 255, 255])),
  ],
]

test.each(wrongFrames)(
  '%s ends the channel with bad-frame on this side only',
  async (_, misbehave) => {
    const [pa, pb] = channelPair({ bytes: '16 KiB' })
    const a = openMessages(pa)
    const receiving = [a.receive(), a.receive()]
    misbehave(rawPeer(pb))
    a.peerLost('not reached')
    for (const one of receiving) await expect(one).rejects.toMatchObject({ code: 'bad-frame' })
    await expect(a.send(1)).rejects.toMatchObject({ code: 'bad-frame' })
    expect(a.inspect()).toMatchObject({ state: 'failed', waiting: 0 })
    await a.close()
  },
)

test('a packet of another type, or a corrupt index, is a ring fault here and a plain end for the peer', async () => {
  for (const how of ['type', 'index'] as const) {
    const [pa, pb] = channelPair({ bytes: '16 KiB' })
    const a = openMessages(pa)
    const b = openMessages(pb)
    const [here, there] = [a.receive(), b.receive()]
    if (how === 'type') rawPeer(pb).write(FrameKind.message, 8, eight, 11)
    else {
      const words = new Int32Array(pb.memory.buffer)
      Atomics.store(words, channelRing(pb.memory, pb.dataBytes, 1).controlAt >> 2, 12345)
    }
    a.peerLost('look now')
    await expect(here).rejects.toMatchObject({ code: 'ring-fault' })
    expect(await there).toBeUndefined()
    await expect(b.send(1)).rejects.toMatchObject({ code: 'peer-closed' })
  }
})

test('random bytes all over the shared memory never make an end throw anything but its own errors', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
        minLength: 1,
        maxLength: 60,
      }),
      fc.boolean(),
      async (scribbles, everywhere) => {
        const [pa, pb] = channelPair({ bytes: 4096 })
        const a = openMessages(pa, { spinMicroseconds: 0 })
        const b = openMessages(pb, { spinMicroseconds: 0 })
        await b.sendBatch([{ n: 1 }, 'two', { n: 3 }])
        const shared = new Uint8Array(pa.memory.buffer)
        const start = everywhere ? 0 : channelRing(pa.memory, pa.dataBytes, 1).controlAt
        const span = everywhere ? channelPageOffset(pa.dataBytes) + 4096 : 256
        for (const [at, byte] of scribbles) shared[start + (at % span)] = byte
        await drainQuietly(a)
        const outcome = await Promise.allSettled([tryAll(a), tryAll(b)])
        for (const result of outcome) {
          if (result.status === 'fulfilled') continue
          expect(result.reason).toMatchObject({ name: 'ChannelError' })
        }
      },
    ),
    { numRuns: 300 },
  )
})

test('random bytes as messages are values or bad-frame, never a crash', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 })),
      async (messages) => {
        const [pa, pb] = channelPair({ bytes: '64 KiB' })
        const a = openBytes(pa)
        const b = openMessages(pb)
        for (const message of messages.slice(0, 50)) await a.send(message)
        await a.end()
        try {
          for await (const _ of b);
        } catch (error) {
          expect(error).toMatchObject({ code: 'bad-frame' })
        }
      },
    ),
    { numRuns: 200 },
  )
})

async function drainQuietly(channel: TypedChannel<unknown, unknown>): Promise<void> {
  for (let i = 0; i < 10; i++) {
    try {
      channel.tryReceive()
    } catch (error) {
      expect(error).toMatchObject({ name: 'ChannelError' })
    }
  }
  await Promise.resolve()
}

async function tryAll(channel: TypedChannel<unknown, unknown>): Promise<void> {
  channel.trySend({ still: 'here' })
  channel.tryReceive()
  const abort = AbortSignal.abort(new DOMException('soon', 'AbortError'))
  await channel.close({ signal: abort }).catch(() => {})
  expect(channel.inspect().waiting).toBe(0)
}
