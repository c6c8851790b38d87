// Where the nanoseconds of a packet go, by leaving parts out: the whole of sending and of receiving a batch, the same without
// publishing, without what JavaScript does to each packet, and the bare copies and calls alone. One thread, warm caches, best of
// many: what two threads do to each other's caches is not in it (scripts/ring-throughput.ts).
//
//   node packages/ring/bench/profile.ts [--json]
import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { createCopyKernel, wasm } from '@guestyard/guestmem'
import { createRingLink, openRingLink } from '@guestyard/ring'

const RING_BYTES = 65_536
const ROUNDS = 1500
const INBAND = PACKET_TYPE_DATA_INBAND
const FRAMING_BYTES = 24

const link = createRingLink(RING_BYTES)
const { outgoing } = openRingLink(link, 'a')
const { incoming } = openRingLink(link, 'b')
/** Memories of the same kinds, for the copies alone. */
const local = new wasm.Memory({ initial: 4, maximum: 4 })
const remote = new wasm.Memory({ initial: 4, maximum: 4, shared: true })
const copies = createCopyKernel(local, remote)
let next = 0
let expected = 0
let errors = 0

/** Nanoseconds a packet, by part. */
interface Parts {
  /** All of it, as a user has it. */
  readonly whole: number
  /** What JavaScript does to each packet: numbering it; finding and checking its number. */
  readonly js: number
  /** The bytes themselves, with one call. */
  readonly copy: number
  /** Storing the index and looking at the other end's word: the atomics, with their call. */
  readonly publish: number
  /** The rest: descriptors and trailers; checks and the index of packets. */
  readonly kernel: number
}

interface Profile {
  readonly payloadBytes: number
  readonly batch: number
  readonly sending: Parts
  readonly receiving: Parts
}

/** Best time of `work`, which handles `packets` packets, with `after` run untimed. */
function best(packets: number, work: () => void, after: () => void = () => undefined): number {
  let least = Infinity
  for (let round = 0; round < ROUNDS; round += 1) {
    const beganMs = performance.now()
    work()
    least = Math.min(least, ((performance.now() - beganMs) * 1e6) / packets)
    after()
  }
  return least
}

function stamp(payload: number, batch: number): void {
  const words = outgoing.stagingWords
  const stride = payload >> 2
  for (let i = 0, at = 0; i < batch; i += 1, at += stride) words[at] = next + i
  next = (next + batch) | 0
}

function write(payload: number, batch: number): void {
  outgoing.writeEach(0, payload, batch, payload, INBAND, 0, 0, 0)
}

function check(count: number): void {
  const words = incoming.arenaWords
  for (let i = 0; i < count; i += 1) {
    const number = words[incoming.payloadAt(i) >> 2]!
    if (number !== expected) errors += 1
    expected = (number + 1) | 0
  }
}

function empty(): void {
  outgoing.commit()
  for (let count = 1; count > 0;) count = incoming.drain(1024)
  incoming.commit()
  expected = next
}

function profile(payloadBytes: number, batch: number): Profile {
  const packetBytes = payloadBytes + FRAMING_BYTES
  const repeats = Math.max(1, Math.floor(RING_BYTES / 2 / (packetBytes * batch)))
  const packets = repeats * batch
  const each = (work: () => void) => (): void => {
    for (let repeat = 0; repeat < repeats; repeat += 1) work()
  }
  const fill = each(() => {
    stamp(payloadBytes, batch)
    write(payloadBytes, batch)
  })
  const sending = (whole: number, unpublished: number, js: number, copy: number): Parts => ({
    whole,
    js,
    copy,
    publish: whole - unpublished,
    kernel: unpublished - js - copy,
  })
  const sent = sending(
    best(
      packets,
      each(() => {
        stamp(payloadBytes, batch)
        write(payloadBytes, batch)
        outgoing.commit()
      }),
      empty,
    ),
    best(packets, fill, empty),
    best(
      packets,
      each(() => stamp(payloadBytes, batch)),
    ),
    best(
      packets,
      each(() => copies.toRemote(0, 0, packetBytes * batch)),
    ),
  )
  const refill = (): void => {
    empty()
    fill()
    outgoing.commit()
  }
  const received = (work: () => void): number => {
    refill()
    return best(packets, each(work), refill)
  }
  const whole = received(() => {
    check(incoming.drain(batch))
    incoming.commit()
  })
  const unchecked = received(() => {
    incoming.drain(batch)
    incoming.commit()
  })
  const uncommitted = received(() => check(incoming.drain(batch)))
  const copy = best(
    packets,
    each(() => copies.toLocal(0, 0, packetBytes * batch)),
  )
  empty()
  return {
    payloadBytes,
    batch,
    sending: sent,
    receiving: {
      whole,
      js: whole - unchecked,
      copy,
      publish: whole - uncommitted,
      kernel: whole - (whole - unchecked) - copy - (whole - uncommitted),
    },
  }
}

const cases = [
  [64, 32],
  [256, 32],
  [1024, 16],
  [64, 1],
] as const
// Once for the compiler.
for (const [payload, batch] of cases) profile(payload, batch)
const profiles = cases.map(([payload, batch]) => profile(payload, batch))
if (errors > 0) throw new Error(`${errors} packets out of order`)
if (process.argv.includes('--json')) {
  console.log(JSON.stringify({ node: process.version, profiles }, null, 2))
} else {
  console.log(`Node ${process.version}; nanoseconds a packet, one thread`)
  console.log('                            whole    JS  copy  publish  kernel')
  for (const { payloadBytes, batch, sending, receiving } of profiles) {
    for (const [name, parts] of Object.entries({ sending, receiving })) {
      const cells = [parts.whole, parts.js, parts.copy, parts.publish, parts.kernel]
      const figures = cells.map((value) => value.toFixed(1).padStart(6)).join(' ')
      console.log(
        `${String(payloadBytes).padStart(5)} B, batch ${String(batch).padEnd(2)}  ${name.padEnd(10)} ${figures}`,
      )
    }
  }
}
