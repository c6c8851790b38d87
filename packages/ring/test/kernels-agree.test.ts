import { PAGE_SIZE } from '@guestyard/hvdef'
import { RingFault, type KernelKind } from '@guestyard/ring'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  KINDS,
  RAM_BYTES,
  type RingFixture,
  announcePacket,
  makeRing,
  patternBytes,
  pokeData,
} from './ring-fixture.ts'

const PAGE_COUNT = RAM_BYTES / PAGE_SIZE
const FILLER = 0xa5

/** One thing done to a ring, by a user of it or by a hostile peer. */
type Step = readonly [action: string, a: number, b: number]

const userStep = fc.tuple(
  fc.constantFrom(
    'write',
    'write',
    'append',
    'each',
    'reserve',
    'ranges',
    'commit',
    'commit',
    'drain',
    'drain',
    'release',
    'lazily',
    'peek',
    'consume',
    'arm',
    'mask',
    'block',
    'unblock',
    'room',
  ),
  fc.nat(1200),
  fc.nat(15),
)
const interestingWords = fc.constantFrom(
  0,
  8,
  4,
  16,
  4088,
  4096,
  -8,
  -1,
  0x7ffffff8,
  0x10006,
  0x20006,
  // Lengths about an arena of 2048 bytes, and the largest.
  254,
  255,
  256,
  0xffff,
)
const hostileStep = fc.tuple(
  fc.constantFrom('control', 'data', 'descriptor'),
  fc.oneof(interestingWords, fc.integer()),
  fc.nat(1023),
)

interface Subject extends RingFixture {
  readonly kind: KernelKind
  peeked: boolean
}

const ARENA_BYTES = 2048

function subject(
  kind: KernelKind,
  pfns: readonly number[],
  startAt: number,
  arenaBytes: number = ARENA_BYTES,
): Subject {
  const fixture = makeRing({ kind, pfns, startAt, incoming: { maxRanges: 8, arenaBytes } })
  for (let page = 0; page < PAGE_COUNT; page += 1) {
    if (pfns.includes(page)) continue
    fixture.memory.u8.fill(FILLER, page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
  }
  return { ...fixture, kind, peeked: false }
}

/** Does one step and returns all that it answered. */
function perform(on: Subject, [action, a, b]: Step): unknown {
  const { outgoing, incoming, control } = on
  switch (action) {
    case 'write':
      outgoing.staging.set(patternBytes(a, a), b)
      return outgoing.write(b, a, 6, b & 1, a, b)
    case 'append': {
      let written = -1
      for (let i = 0; i <= b; i += 1) {
        const at = outgoing.append(a, 0xb, 0, i, a)
        if (at >= 0) outgoing.batch.set(patternBytes(i, a), at)
      }
      if (outgoing.appended > 0) written = outgoing.writeBatch()
      const left = outgoing.appended
      outgoing.clearBatch()
      return [written, left, outgoing.neededBytes]
    }
    case 'each':
      return outgoing.writeEach(0, a & -8, b, a, 6, 1, a, b)
    case 'reserve':
      return [outgoing.reserve(a, 6, 0, a, b), spans(on, outgoing)]
    case 'ranges':
      outgoing.stagingWords.set([a * 8, b * 300, 5, 0, 6, 0, 7, 0], 2)
      return outgoing.writeGpaDirect(0, b & 3, 32, 16, 0, a, b)
    case 'commit':
      return outgoing.commit()
    case 'drain':
      return drained(on, b)
    case 'release':
      return incoming.commit()
    case 'lazily':
      return incoming.commitLazily()
    case 'peek':
      on.peeked = incoming.peek() === 1
      return [on.peeked, on.peeked ? [incoming.tidLow(0), spans(on, incoming)] : 0]
    case 'consume':
      if (on.peeked) incoming.consume()
      on.peeked = false
      return 0
    case 'arm':
      incoming.commit()
      return incoming.unmask()
    case 'mask':
      return incoming.mask()
    case 'block':
      return outgoing.setPendingSendSize(a + 1)
    case 'unblock':
      return outgoing.clearPendingSendSize()
    case 'room':
      return outgoing.writableBytes()
    case 'announce':
      announcePacket(on, a)
      return 0
    case 'control':
      control[b % 20] = a
      return 0
    case 'data':
      pokeData(on, (b * 4) % outgoing.sizeBytes, a)
      return 0
    default:
      // The descriptor of the packet that comes next.
      pokeData(on, (incoming.inspect().next + (b & 4)) % outgoing.sizeBytes, a)
      return 0
  }
}

function spans(on: Subject, end: Subject['incoming'] | Subject['outgoing']): string {
  const seen: string[] = []
  while (end.nextSpan()) {
    const piece = on.memory.u8.subarray(end.spanAt, end.spanAt + end.spanLength)
    seen.push(`${end.spanAt}:${Buffer.from(piece).toString('base64')}`)
  }
  return seen.join()
}

function drained(on: Subject, max: number): unknown {
  const { incoming } = on
  on.peeked = false
  const count = incoming.drain(max + 1)
  const packets: unknown[] = []
  for (let i = 0; i < count; i += 1) {
    const at = incoming.payloadAt(i)
    const payload = incoming.arena.subarray(at, at + incoming.payloadLength(i))
    packets.push([
      incoming.packetType(i),
      incoming.flags(i),
      incoming.tidLow(i),
      incoming.tidHigh(i),
      incoming.headerLength(i),
      Buffer.from(payload).toString('base64'),
    ])
  }
  return [count, packets]
}

/** What must hold of an end whatever its peer did. */
function expectSound(on: Subject, pfns: readonly number[]): void {
  for (let page = 0; page < PAGE_COUNT; page += 1) {
    if (pfns.includes(page)) continue
    const at = page * PAGE_SIZE
    const bytes = on.memory.u8.subarray(at, at + PAGE_SIZE)
    expect(bytes.every((byte) => byte === FILLER)).toBe(true)
  }
}

function runBoth(
  pfns: readonly number[],
  start: number,
  steps: readonly Step[],
  arenaBytes: number = ARENA_BYTES,
): void {
  const startAt = (start * 8) % ((pfns.length - 1) * PAGE_SIZE)
  const wasm = subject('wasm', pfns, startAt, arenaBytes)
  const typed = subject('typed', pfns, startAt, arenaBytes)
  for (const step of steps) {
    expect(perform(typed, step)).toEqual(perform(wasm, step))
    expect(typed.outgoing.inspect()).toEqual({ ...wasm.outgoing.inspect(), kernel: 'typed' })
    expect(typed.incoming.inspect()).toEqual({ ...wasm.incoming.inspect(), kernel: 'typed' })
  }
  expect(Buffer.compare(typed.memory.u8, wasm.memory.u8)).toBe(0)
  expectSound(wasm, pfns)
}

const layout = fc.uniqueArray(fc.nat({ max: PAGE_COUNT - 1 }), { minLength: 2, maxLength: 4 })

test('both kernels answer alike and leave the same bytes, whatever their users do', () => {
  fc.assert(
    fc.property(layout, fc.nat(), fc.array(userStep, { maxLength: 60 }), (pfns, start, steps) => {
      runBoth(pfns, start, steps)
    }),
  )
})

test('both kernels answer alike, throw nothing and touch no other page, whatever the peer writes', () => {
  fc.assert(
    fc.property(
      layout,
      fc.nat(),
      fc.array(
        fc.oneof({ weight: 4, arbitrary: userStep }, { weight: 1, arbitrary: hostileStep }),
        {
          maxLength: 60,
        },
      ),
      (pfns, start, steps) => runBoth(pfns, start, steps),
    ),
  )
})

test('both kernels answer alike with an arena of any size, for a packet of any size', () => {
  const sizes = fc.nat({ max: 64 }).map((eights) => eights * 8)
  fc.assert(
    fc.property(sizes, sizes, fc.nat({ max: 511 }), (arenaBytes, beyond, start) => {
      const steps: Step[] = [
        ['announce', 24 + ((beyond * 2) % 1024), 0],
        ['drain', 0, 3],
        ['release', 0, 0],
        ['announce', Math.max(24, arenaBytes - 16 + (beyond % 40)), 0],
        ['drain', 0, 3],
        ['arm', 0, 0],
      ]
      runBoth([3, 1], start, steps, arenaBytes)
    }),
    { numRuns: 50 },
  )
})

test.each([128, 129, 140])(
  'both kernels read alike the largest packets there are, in a ring of %i data pages',
  (dataPages) => {
    for (const total of [65533, 65534, 65535].map((length8) => length8 * 8 + 8)) {
      const answers = KINDS.map((kind) => {
        const fixture = makeRing({ kind, dataPages, startAt: 4088, ramBytes: 1 << 20 })
        const fits = total <= fixture.incoming.sizeBytes - 8
        if (!fits) return [fits]
        announcePacket(fixture, total)
        const count = fixture.incoming.drain(2)
        return [fits, count, fixture.incoming.payloadLength(0), fixture.incoming.inspect().next]
      })
      expect(answers[0]).toEqual(answers[1])
    }
  },
)

test('packets of one size leave the bytes that writing them one by one leaves', () => {
  const lengths = fc.oneof(fc.nat({ max: 600 }), fc.nat({ max: 9000 }), fc.constantFrom(8160, 8161))
  const pages = fc.constantFrom([0, 1, 2, 3, 4, 5, 6, 7], [9, 2, 3, 12, 1, 20, 30, 31, 5, 4])
  fc.assert(
    fc.property(
      fc.constantFrom(...KINDS),
      pages,
      fc.nat({ max: 3583 }),
      lengths,
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom(0, 96, 4096, 65536),
      (kind, pfns, start, length, count, batchBytes) => {
        const stride = Math.min(length + 3, Math.floor((65536 - length) / count))
        const made = ['each', 'one by one'].map((way) => {
          const outgoing = { batchBytes }
          const fixture = makeRing({ kind, pfns, startAt: start * 8, outgoing })
          const end = fixture.outgoing
          end.staging.set(patternBytes(count, 65536))
          let written = 0
          if (way === 'each') {
            written = end.writeEach(0, stride, count, length, 6, 1, 5, 7)
          } else {
            const one = (): boolean => end.write(written * stride, length, 6, 1, 5, 7) === 0
            while (written < count && one()) written += 1
          }
          return { memory: fixture.memory.u8, state: { ...end.inspect(), written } }
        })
        expect(made[0]!.state).toEqual(made[1]!.state)
        expect(Buffer.compare(made[0]!.memory, made[1]!.memory)).toBe(0)
      },
    ),
    { numRuns: 300 },
  )
})

test('a dead end stays dead and writes nothing', () => {
  for (const kind of ['wasm', 'typed'] as const) {
    const on = subject(kind, [1, 2], 0)
    on.outgoing.send(0, 8, 6, 0, 0, 0)
    on.control[0] = 12
    on.control[1] = 12
    expect(on.incoming.drain(1)).toBe(-3)
    expect(on.outgoing.writableBytes()).toBe(-3)
    expect(on.incoming.fault).toBe(RingFault.BAD_WRITE_INDEX)
    expect(on.outgoing.fault).toBe(RingFault.BAD_READ_INDEX)
    const before = on.memory.u8.slice()
    const all = ['write', 'append', 'each', 'reserve', 'commit', 'drain', 'release', 'peek', 'arm']
    for (const action of [...all, 'mask', 'block', 'unblock']) perform(on, [action, 64, 1])
    expect(Buffer.compare(on.memory.u8, before)).toBe(0)
  }
})
