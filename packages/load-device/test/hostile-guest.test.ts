// What the host's end makes of a guest that breaks the protocol: an error, a count, or a failed channel.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  LOAD_STREAMS_MAX,
  LOAD_STREAMS_PER_PARTITION_MAX,
  LOAD_SUB_CHANNELS_MAX,
  LoadError,
  LoadKind,
  LoadMode,
  LoadSetupResponse,
  LoadStatus,
  LoadSubChannelRequest,
  LoadSubChannelResponse,
} from '@guestyard/load-device/protocol'
import { LoadBench, smallLoad } from '@guestyard/load-device/testing'
import { RelayHub } from '@guestyard/load-device/vsp'
import { RawGuest, errorOf, statisticsOf } from './raw-guest.ts'

function stateOf(guest: RawGuest) {
  return guest.bench.vsp.inspect().channels[0]?.state
}

test('a packet out of sequence is counted once, and the sequence goes on from there', () => {
  const guest = new RawGuest()
  guest.setup(LoadMode.SINK)
  for (const sequence of [0, 1, 5, 6, 7, 7, 8]) guest.data(sequence)
  guest.end(9)
  const statistics = statisticsOf(guest.receive().at(-1))
  // Two jumps, and a count that does not agree with what came.
  expect(statistics).toMatchObject({ packetsReceived: 7n, sequenceErrors: 3n, totalReceived: 7n })
})

test('a damaged sequence number in an echo is found by the host and by the guest', () => {
  const guest = new RawGuest()
  guest.setup(LoadMode.ECHO)
  guest.receive()
  guest.data(0)
  guest.data(0x80000001)
  guest.data(2)
  guest.end(3)
  const packets = guest.receive()
  expect(packets.map((packet) => packet.sequence)).toEqual([0, 0x80000001, 2, 3, 0])
  expect(statisticsOf(packets.at(-1)).sequenceErrors).toBe(2n)
})

test('sequence numbers wrap at 2^32 without an error', () => {
  const guest = new RawGuest()
  guest.setup(LoadMode.SINK)
  // The jump to the last numbers is the one error.
  for (const sequence of [0xfffffffe, 0xffffffff, 0, 1]) guest.data(sequence)
  guest.end(2)
  expect(statisticsOf(guest.receive().at(-1)).sequenceErrors).toBe(2n)
})

test('a packet of another length than agreed is counted, not trusted', () => {
  const guest = new RawGuest()
  guest.setup(LoadMode.SINK, { payloadBytes: 24 })
  guest.data(0)
  guest.end(1)
  expect(statisticsOf(guest.receive().at(-1))).toMatchObject({
    sequenceErrors: 1n,
    packetsReceived: 1n,
    bytesReceived: 16n,
  })
})

const BREACHES: readonly (readonly [string, (guest: RawGuest) => void, LoadError])[] = [
  ['data before a setup', (guest) => guest.data(0), LoadError.OUT_OF_ORDER],
  ['an end before a setup', (guest) => guest.end(0), LoadError.OUT_OF_ORDER],
  ['an empty packet', (guest) => guest.send(new Uint8Array(0)), LoadError.MALFORMED],
  [
    'a completion nobody asked for',
    (guest) => guest.send(new Uint8Array(8), 11),
    LoadError.MALFORMED,
  ],
  [
    'a kind that only hosts send',
    (guest) => guest.header(LoadKind.STATISTICS),
    LoadError.UNKNOWN_KIND,
  ],
  ['a setup that is cut', (guest) => guest.header(LoadKind.SETUP), LoadError.MALFORMED],
  [
    'a sub-channel request that is cut',
    (guest) => guest.header(LoadKind.SUB_CHANNEL_REQUEST),
    LoadError.MALFORMED,
  ],
  ['an end that is cut', (guest) => guest.header(LoadKind.END_OF_STREAM), LoadError.MALFORMED],
  [
    'a setup within a run',
    (guest) => {
      guest.setup(LoadMode.SINK)
      guest.setup(LoadMode.SINK)
    },
    LoadError.OUT_OF_ORDER,
  ],
  [
    'data larger than agreed',
    (guest) => {
      guest.setup(LoadMode.ECHO, { payloadBytes: 8 })
      guest.data(0)
    },
    LoadError.MALFORMED,
  ],
  [
    'data to a relay receiver',
    (guest) => {
      guest.setup(LoadMode.RELAY_RECEIVER)
      guest.data(0)
    },
    LoadError.MALFORMED,
  ],
  [
    'an end from a source',
    (guest) => {
      guest.setup(LoadMode.SOURCE)
      guest.end(0)
      // Its own packets fill the ring before the error fits.
      for (let packets = guest.receive(); packets.length > 0; packets = guest.receive()) {
        if (packets.at(-1)?.kind === LoadKind.ERROR) guest.bench.loopback.pump()
      }
    },
    LoadError.OUT_OF_ORDER,
  ],
]
for (const [what, breach, error] of BREACHES) {
  test(`${what} ends the run with an error, and only that channel`, () => {
    const guest = new RawGuest()
    const packets: ReturnType<RawGuest['receive']> = []
    breach(guest)
    for (let came = guest.receive(); came.length > 0; came = guest.receive()) packets.push(...came)
    expect(stateOf(guest)).toBe('failed')
    if (packets.length > 0) expect(errorOf(packets.at(-1))).toBe(error)
    // What follows is dropped; closing and opening again gives a working channel.
    guest.data(1)
    expect(guest.kinds()).toEqual([])
    guest.bench.loopback.client.close(guest.channel)
    guest.bench.loopback.pump()
    const [offer] = guest.bench.offers()
    if (offer === undefined) throw new Error('The device is still offered.')
    const channel = guest.bench.open(offer)
    expect(guest.bench.runLoad(smallLoad(), {}, channel)?.ok).toBe(true)
  })
}

test('a setup that cannot be is refused with a status, and another may follow', () => {
  const guest = new RawGuest({ ringBytes: 8192 })
  const statusOf = (): number => {
    const [packet] = guest.receive()
    return LoadSetupResponse.decode(new DataView(packet?.bytes.buffer ?? new ArrayBuffer(24)))
      .status
  }
  guest.setup(LoadMode.SINK, { version: 0x20000 })
  expect(statusOf()).toBe(LoadStatus.UNSUPPORTED_VERSION)
  for (const changes of [
    { mode: 0 },
    { mode: 7 },
    { payloadBytes: 7 },
    { payloadBytes: 0 },
    { payloadBytes: 8192 },
    { payloadBytes: 0xffffffff },
    { batch: 0 },
    { batch: 1025 },
  ]) {
    guest.setup(LoadMode.SINK, changes)
    expect(statusOf()).toBe(LoadStatus.BAD_PARAMETER)
  }
  guest.setup(LoadMode.SINK)
  expect(statusOf()).toBe(LoadStatus.ACCEPTED)
})

/** The status of the SETUP that is answered first. */
function setupStatusOf(guest: RawGuest): number {
  const [packet] = guest.receive()
  if (packet?.kind !== LoadKind.SETUP_RESPONSE) throw new Error('The host answered no SETUP.')
  return LoadSetupResponse.decode(new DataView(packet.bytes.buffer)).status
}

test('a partition holds its share of streams and no more, and its neighbour gets one all the same', () => {
  const hub = new RelayHub()
  const options = { hub, ringBytes: 4096, memoryBytes: 131072 }
  const channels: RawGuest[] = []
  const statuses: number[] = []
  for (let stream = 0; stream < LOAD_STREAMS_PER_PARTITION_MAX + 3; stream += 1) {
    const guest = new RawGuest({ ...options, partitionKey: 7 })
    channels.push(guest)
    guest.setup(stream % 2 === 0 ? LoadMode.RELAY_SENDER : LoadMode.RELAY_RECEIVER, {
      streamId: BigInt(stream),
    })
    statuses.push(setupStatusOf(guest))
  }
  const accepted = statuses.filter((status) => status === LoadStatus.ACCEPTED)
  expect(accepted.length).toBe(LOAD_STREAMS_PER_PARTITION_MAX)
  expect(statuses.slice(-3)).toEqual(Array.from({ length: 3 }, () => LoadStatus.TOO_MANY_STREAMS))
  const neighbour = new RawGuest({ ...options, partitionKey: 8 })
  neighbour.setup(LoadMode.RELAY_SENDER, { streamId: 1000n })
  expect(setupStatusOf(neighbour)).toBe(LoadStatus.ACCEPTED)
  // What ends is given back.
  const [first] = channels
  if (first === undefined) throw new Error('There is a first channel.')
  first.bench.loopback.client.close(first.channel)
  first.bench.loopback.pump()
  const late = new RawGuest({ ...options, partitionKey: 7 })
  late.setup(LoadMode.RELAY_SENDER, { streamId: 2000n })
  expect(setupStatusOf(late)).toBe(LoadStatus.ACCEPTED)
})

test('the host says who may join a stream', () => {
  const asked: [bigint, number][] = []
  const hub = new RelayHub({
    mayJoin(streamId, partitionKey) {
      asked.push([streamId, partitionKey])
      return partitionKey !== 3
    },
  })
  const spy = new RawGuest({ hub, partitionKey: 3 })
  const friend = new RawGuest({ hub, partitionKey: 4 })
  for (const guest of [spy, friend]) guest.setup(LoadMode.RELAY_RECEIVER, { streamId: 77n })
  expect([setupStatusOf(spy), setupStatusOf(friend)]).toEqual([
    LoadStatus.STREAM_DENIED,
    LoadStatus.ACCEPTED,
  ])
  expect(asked).toEqual([
    [77n, 3],
    [77n, 4],
  ])
  expect(hub.inspect().streams.map((stream) => stream.id)).toEqual(['77'])
})

test('a hub has a number of streams that no crowd of partitions gets it beyond', () => {
  const hub = new RelayHub()
  const source = { onRoom: () => {}, onPeerGone: () => {} }
  const join = (stream: number): unknown =>
    hub.joinSource(BigInt(stream), Math.floor(stream / LOAD_STREAMS_PER_PARTITION_MAX), source)
  for (let stream = 0; stream < LOAD_STREAMS_MAX; stream += 1) join(stream)
  expect(join(LOAD_STREAMS_MAX)).toBe(LoadStatus.TOO_MANY_STREAMS)
  expect(hub.inspect().streams.length).toBe(LOAD_STREAMS_MAX)
})

test('a guest that asks for sub-channels again and again gets a number of them, and then a status', () => {
  const guest = new RawGuest({ ringBytes: 8192 })
  const ask = (count: number): unknown => {
    const kind = LoadKind.SUB_CHANNEL_REQUEST
    guest.send(LoadSubChannelRequest.pack({ sequence: 0, kind, count }))
    const [packet] = guest.receive()
    if (packet === undefined) throw new Error('The host answers a request for sub-channels.')
    const answer = LoadSubChannelResponse.decode(new DataView(packet.bytes.buffer))
    return [answer.status, answer.count]
  }
  expect(ask(15)).toEqual([LoadStatus.ACCEPTED, 15])
  expect(ask(15)).toEqual([LoadStatus.ACCEPTED, 15])
  expect(ask(15)).toEqual([LoadStatus.TOO_MANY_SUB_CHANNELS, 0])
  expect(ask(LOAD_SUB_CHANNELS_MAX - 30)).toEqual([LoadStatus.ACCEPTED, LOAD_SUB_CHANNELS_MAX - 30])
  expect(ask(1)).toEqual([LoadStatus.TOO_MANY_SUB_CHANNELS, 0])
  expect(guest.bench.offers().length).toBe(1 + LOAD_SUB_CHANNELS_MAX)
  expect(ask(16)).toEqual([LoadStatus.BAD_PARAMETER, 0])
  // Closing the primary takes them all back: a new opening starts from none.
  guest.bench.loopback.client.close(guest.channel)
  guest.bench.loopback.pump()
  expect(guest.bench.offers().length).toBe(1)
  const [offer] = guest.bench.offers()
  if (offer === undefined) throw new Error('The primary is still offered.')
  const again = guest.bench.open(offer)
  again.outgoing.staging.set(
    LoadSubChannelRequest.pack({ sequence: 0, kind: LoadKind.SUB_CHANNEL_REQUEST, count: 15 }),
  )
  if (again.outgoing.send(0, LoadSubChannelRequest.size, 6, 0, 0, 0) === 1) again.signal()
  guest.bench.loopback.pump()
  expect(guest.bench.offers().length).toBe(1 + 15)
})

test('a guest that never reads makes the host stop, not queue; reading sets it going again', () => {
  const guest = new RawGuest({ ringBytes: 4096 })
  guest.setup(LoadMode.SOURCE)
  const before = guest.bench.vsp.inspect().channels[0]?.packetsSent ?? 0
  guest.bench.loopback.pump()
  expect(guest.bench.vsp.inspect().channels[0]?.packetsSent).toBe(before)
  // A packet takes 16 + 16 + 8 bytes; the answer to SETUP took 48.
  expect(before).toBe(Math.floor((4096 - 8 - 48) / 40))
  guest.receive()
  expect(guest.bench.vsp.inspect().channels[0]?.packetsSent).toBeGreaterThan(before)
})

test('an echo whose guest does not read stops reading, and answers everything in order later', () => {
  const guest = new RawGuest({ ringBytes: 4096 })
  guest.setup(LoadMode.ECHO)
  let sent = 0
  const packet = new Uint8Array(16)
  for (;;) {
    const view = new DataView(packet.buffer)
    view.setUint32(0, sent, true)
    view.setUint16(4, LoadKind.DATA, true)
    if (!guest.send(packet)) break
    sent += 1
  }
  expect(sent).toBeGreaterThan(150)
  const came: number[] = []
  for (let packets = guest.receive(); packets.length > 0; packets = guest.receive(7)) {
    came.push(
      ...packets.filter(({ kind }) => kind === LoadKind.DATA).map(({ sequence }) => sequence),
    )
  }
  expect(came).toEqual(Array.from({ length: sent }, (_, index) => index))
})

test('packets of arbitrary bytes, kinds and types never throw, and the partition beside goes on', () => {
  const hub = new RelayHub()
  const neighbour = new LoadBench({ hub })
  const packets = fc.array(
    fc.record({
      kind: fc.integer({ min: 0, max: 12 }),
      body: fc.uint8Array({ maxLength: 64 }),
      type: fc.constantFrom(6, 6, 6, 11),
      isSetup: fc.boolean(),
      mode: fc.integer({ min: 1, max: 6 }),
    }),
    { maxLength: 30 },
  )
  fc.assert(
    fc.property(packets, (sent) => {
      const guest = new RawGuest({ hub, ringBytes: 4096 })
      for (const { kind, body, type, isSetup, mode } of sent) {
        if (isSetup) guest.setup(mode as LoadMode, { streamId: 3n })
        const packet = Uint8Array.of(0, 0, 0, 0, kind, 0, 0, 0, ...body)
        if (!guest.send(type === 6 ? packet : body, type)) break
      }
      guest.bench.loopback.client.close(guest.channel)
      guest.bench.loopback.pump()
      expect(guest.bench.vsp.inspect().channels).toEqual([])
      expect(hub.inspect().streams).toEqual([])
      expect(neighbour.runLoad(smallLoad())?.ok).toBe(true)
    }),
    { numRuns: 60 },
  )
})

test('a ring scribbled over fails its channel with the fault, and the relay beyond it is told', () => {
  const hub = new RelayHub()
  const failures: (number | string)[] = []
  const guest = new RawGuest({
    hub,
    onServerEvent: (event) => {
      if (event.is === 'channel-failed') failures.push(event.reason)
    },
  })
  const other = new RawGuest({ hub })
  guest.setup(LoadMode.RELAY_SENDER, { streamId: 9n })
  other.setup(LoadMode.RELAY_RECEIVER, { streamId: 9n })
  other.receive()
  // The write index of the guest's own ring, in its control page: not a multiple of 8.
  const control = guest.channel.pfns[0] ?? 0
  guest.bench.loopback.memory.i32[(control * 4096) >> 2] = 3
  guest.channel.signal()
  guest.bench.loopback.pump()
  other.bench.loopback.pump()
  expect(failures.length).toBe(1)
  expect(errorOf(other.receive().at(-1))).toBe(LoadError.PEER_GONE)
})

test('a guest that breaks the protocol while its ring is full lets the host rest', () => {
  const guest = new RawGuest({ ringBytes: 4096 })
  guest.setup(LoadMode.SOURCE)
  // The error does not fit, and more packets wait: each send pumps until both ends rest.
  for (let packet = 0; packet < 4; packet += 1) guest.data(packet)
  expect(stateOf(guest)).toBe('failed')
  const came: number[] = []
  for (let kinds = guest.kinds(); kinds.length > 0; kinds = guest.kinds()) came.push(...kinds)
  expect(came.at(-1)).toBe(LoadKind.ERROR)
})
