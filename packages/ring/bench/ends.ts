// What each end costs, in one thread that sends a batch and receives it, in turn: nanoseconds a
// packet, best of many. What two threads do to each other is not in it; scripts/ring-throughput.ts
// measures that.
//
//   node packages/ring/bench/ends.ts [wasm|typed]
import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { createRingLink, openRingLink } from '@guestyard/ring'

const RING_BYTES = 65_536
const ROUNDS = 3000
const INBAND = PACKET_TYPE_DATA_INBAND

const kind = process.argv[2] === 'typed' ? 'typed' : 'wasm'
const link = createRingLink(RING_BYTES, kind)
const { outgoing } = openRingLink(link, 'a')
const { incoming } = openRingLink(link, 'b')
let next = 0
let expected = 0
let errors = 0

/** Each sends `batch` packets that begin with their number. */
const SENDERS: Readonly<Record<string, (payload: number, batch: number) => void>> = {
  send: (payload, batch) => {
    for (let i = 0; i < batch; i += 1) {
      outgoing.stagingWords[0] = next + i
      outgoing.send(0, payload, INBAND, 0, 0, 0)
    }
  },
  write: (payload, batch) => {
    for (let i = 0; i < batch; i += 1) {
      outgoing.stagingWords[0] = next + i
      outgoing.write(0, payload, INBAND, 0, 0, 0)
    }
    outgoing.commit()
  },
  append: (payload, batch) => {
    for (let i = 0; i < batch; i += 1) {
      const at = outgoing.append(payload, INBAND, 0, 0, 0)
      outgoing.batchWords[at >> 2] = next + i
    }
    outgoing.sendBatch()
  },
  writeEach: (payload, batch) => {
    const stride = payload >> 2
    for (let i = 0, at = 0; i < batch; i += 1, at += stride) outgoing.stagingWords[at] = next + i
    outgoing.writeEach(0, payload, batch, payload, INBAND, 0, 0, 0)
    outgoing.commit()
  },
}

function receive(batch: number): void {
  const count = incoming.drain(batch)
  const words = incoming.arenaWords
  for (let i = 0; i < count; i += 1) {
    const number = words[incoming.payloadAt(i) >> 2]!
    if (number !== expected) errors += 1
    expected = (number + 1) | 0
  }
  incoming.commit()
}

console.log(`Node ${process.version}, ${kind} kernel; nanoseconds a packet, batches of 32`)
for (const payload of [64, 256, 1024]) {
  const batch = 32
  for (const [name, sendBatch] of Object.entries(SENDERS)) {
    const repeats = Math.max(1, Math.floor(RING_BYTES / 2 / ((payload + 24) * batch)))
    const best = { sent: Infinity, received: Infinity }
    for (let round = 0; round < ROUNDS; round += 1) {
      const beganMs = performance.now()
      for (let repeat = 0; repeat < repeats; repeat += 1) {
        sendBatch(payload, batch)
        next = (next + batch) | 0
      }
      const sentMs = performance.now()
      for (let repeat = 0; repeat < repeats; repeat += 1) receive(batch)
      const packets = repeats * batch
      best.sent = Math.min(best.sent, ((sentMs - beganMs) * 1e6) / packets)
      best.received = Math.min(best.received, ((performance.now() - sentMs) * 1e6) / packets)
    }
    const figures = `${best.sent.toFixed(1).padStart(7)} ${best.received.toFixed(1).padStart(7)}`
    console.log(`${String(payload).padStart(5)} B  ${name.padEnd(10)} ${figures}`)
  }
}
if (errors > 0) throw new Error(`${errors} packets out of order`)
