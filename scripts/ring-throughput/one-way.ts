// HOT. Packets one way: every packet begins with its sequence number, and the receiver checks each.

import { getHeapStatistics } from 'node:v8'

import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { RingStatus } from '@guestyard/ring'
import type { IncomingRing, OutgoingRing, RingPort } from '@guestyard/ring'

import { FLAG_ENDED, FLAG_STOP } from './ring-tasks.ts'
import type { BenchTask, ReceiveResult, SendResult, SendWay } from './ring-tasks.ts'

const INBAND = PACKET_TYPE_DATA_INBAND
/** Looks at the peer's index before the stop word is looked at again. */
const SPIN_TURNS = 16
const DRAIN_MAX = 64
const WARM_UP_MS = 20
const TURNS_PER_CLOCK = 64

/**
 * Bytes this isolate has ever allocated on its JavaScript heap, or in use where V8 does not count
 * them.
 */
function allocatedBytes(): number {
  const statistics = getHeapStatistics() as {
    total_allocated_bytes?: number
    used_heap_size: number
  }
  return statistics.total_allocated_bytes ?? statistics.used_heap_size
}

export function sendUntilStopped(
  port: RingPort,
  flags: Int32Array,
  task: Extract<BenchTask, { is: 'send' }>,
): SendResult {
  const { outgoing } = port
  const before = allocatedBytes()
  const fulls = outgoing.fulls
  const packets = sendBatches(outgoing, flags, task.way, task.payloadBytes, task.batch)
  const heapBytesPerPacket = (allocatedBytes() - before) / packets
  Atomics.add(flags, FLAG_ENDED, 1)
  return { packets, fulls: outgoing.fulls - fulls, heapBytesPerPacket }
}

function sendBatches(
  outgoing: OutgoingRing,
  flags: Int32Array,
  way: SendWay,
  payloadBytes: number,
  batch: number,
): number {
  let sequence = 0
  while (Atomics.load(flags, FLAG_STOP) === 0) {
    if (way === 'one-by-one') sendOne(outgoing, sequence, payloadBytes)
    else if (way === 'each') sendEach(outgoing, sequence, payloadBytes, batch)
    else sendAppended(outgoing, sequence, payloadBytes, batch)
    sequence += way === 'one-by-one' ? 1 : batch
  }
  return sequence
}

function sendOne(outgoing: OutgoingRing, sequence: number, payloadBytes: number): void {
  outgoing.stagingWords[0] = sequence
  while (outgoing.send(0, payloadBytes, INBAND, 0, 0, 0) === RingStatus.FULL) {
    outgoing.spin(SPIN_TURNS)
  }
}

/** Slots of one size in the staging area, as many as there are. */
function sendEach(
  outgoing: OutgoingRing,
  first: number,
  payloadBytes: number,
  batch: number,
): void {
  const words = outgoing.stagingWords
  const stride = payloadBytes >> 2
  const slots = Math.floor(outgoing.staging.length / payloadBytes)
  for (let done = 0; done < batch;) {
    const count = Math.min(slots, batch - done)
    for (let slot = 0, at = 0; slot < count; slot += 1, at += stride) {
      words[at] = first + done + slot
    }
    let written = 0
    for (;;) {
      const at = written * payloadBytes
      written += outgoing.writeEach(
        at,
        payloadBytes,
        count - written,
        payloadBytes,
        INBAND,
        0,
        0,
        0,
      )
      if (written === count) break
      outgoing.commit()
      outgoing.spin(SPIN_TURNS)
    }
    done += count
  }
  outgoing.commit()
}

function sendAppended(
  outgoing: OutgoingRing,
  first: number,
  payloadBytes: number,
  batch: number,
): void {
  for (let index = 0; index < batch; index += 1) {
    let at = outgoing.append(payloadBytes, INBAND, 0, 0, 0)
    if (at < 0) {
      flush(outgoing)
      at = outgoing.append(payloadBytes, INBAND, 0, 0, 0)
    }
    outgoing.batchWords[at >> 2] = first + index
  }
  flush(outgoing)
}

function flush(outgoing: OutgoingRing): void {
  outgoing.sendBatch()
  while (outgoing.appended > 0) {
    outgoing.spin(SPIN_TURNS)
    outgoing.sendBatch()
  }
}

/**
 * Receives from the first `senders` ports until enough was measured, then until every sender has
 * ended.
 */
export function receive(
  ports: readonly RingPort[],
  flags: Int32Array,
  senders: number,
  measureMs: number,
): ReceiveResult {
  const ends = ports.slice(0, senders).map((port) => new CheckedEnd(port.incoming))
  let packets = 0
  let beginMs = performance.now()
  let untilMs = beginMs + WARM_UP_MS
  let measuring = false
  let heapBefore = 0
  for (;;) {
    for (let turn = 0; turn < TURNS_PER_CLOCK; turn += 1) {
      for (let end = 0; end < ends.length; end += 1) packets += ends[end]!.take()
    }
    const nowMs = performance.now()
    if (nowMs < untilMs) continue
    if (measuring) break
    measuring = true
    packets = 0
    heapBefore = allocatedBytes()
    beginMs = performance.now()
    untilMs = beginMs + measureMs
  }
  const seconds = (performance.now() - beginMs) / 1000
  const heapBytesPerPacket = (allocatedBytes() - heapBefore) / packets
  Atomics.store(flags, FLAG_STOP, 1)
  // What the senders still write is checked too, and not counted.
  let ended = 0
  let left = 1
  while (left > 0 || ended < senders) {
    // Counted before looking: a sender ends after its last packet.
    ended = Atomics.load(flags, FLAG_ENDED)
    left = 0
    for (const end of ends) left += end.take()
  }
  const errors = ends.reduce((sum, end) => sum + end.errors, 0)
  return { packets, seconds, errors, heapBytesPerPacket }
}

/** One ring, and the sequence number expected next. */
class CheckedEnd {
  errors = 0
  readonly #incoming: IncomingRing
  #expected = 0

  constructor(incoming: IncomingRing) {
    this.#incoming = incoming
  }

  /** Takes and checks what is there; spins for a moment when nothing is. */
  take(): number {
    const incoming = this.#incoming
    const count = incoming.drain(DRAIN_MAX)
    if (count <= 0) {
      if (count < 0) throw new Error(`the ring failed: ${incoming.fault}`)
      incoming.commit()
      incoming.spin(SPIN_TURNS)
      return 0
    }
    const words = incoming.arenaWords
    let expected = this.#expected
    for (let i = 0; i < count; i += 1) {
      const sequence = words[incoming.payloadAt(i) >> 2]!
      if (sequence !== expected) this.errors += 1
      expected = (sequence + 1) | 0
    }
    this.#expected = expected
    incoming.commitLazily()
    return count
  }
}
