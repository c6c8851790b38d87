/** Both ends of two rings in shared memory: ours, bare, and ringbuf.js. They spin while they wait. */

import { RingBuffer } from 'ringbuf.js'

import { PacketType } from '@guestyard/hvdef'
import { openRingLink, packetBytes } from '@guestyard/ring'
import type { RingLink, RingPort } from '@guestyard/ring'

import { LAST_SEQUENCE } from './peer-protocol.ts'
import type { PeerAnswer, PeerOrder, ThroughputTask } from './peer-protocol.ts'

/** Packets between two looks at the clock, roughly. */
const LOOK_EVERY = 512
const SPIN_TURNS = 400
const DRAIN_MAX = 256

export function sendToRing(order: PeerOrder, task: ThroughputTask): PeerAnswer {
  const batchBytes = task.batch * packetBytes(task.payloadBytes)
  const port = openRingLink(linkOf(order), 'a', { outgoing: { batchBytes } })
  let sequence = 0
  const step = (): void => {
    for (let sent = 0; sent < LOOK_EVERY; sent += task.batch) {
      sendBatch(port, sequence, task.batch, task.payloadBytes)
      sequence += task.batch
    }
  }
  const { from, fromMs } = inPhases(task, step, () => sequence)
  sendBatch(port, LAST_SEQUENCE, 1, task.payloadBytes)
  return { is: 'sent', packets: sequence - from, fromMs }
}

function sendBatch(port: RingPort, first: number, count: number, payloadBytes: number): void {
  const { outgoing, peerDoorbell } = port
  for (let index = 0; index < count; index++) {
    const at = outgoing.append(payloadBytes, PacketType.DATA_INBAND, 0, 0, 0)
    if (at < 0) throw new Error(`the batch area takes no packet: ${at}`)
    outgoing.batchWords[at >> 2] = first + index
  }
  for (;;) {
    if (outgoing.sendBatch()) peerDoorbell.ring()
    if (outgoing.appended === 0) return
    if (outgoing.fault !== 0) throw new Error(`the ring failed: ${outgoing.fault}`)
    outgoing.spin(SPIN_TURNS)
  }
}

export function receiveFromRing(order: PeerOrder, task: ThroughputTask): PeerAnswer {
  const { incoming, peerDoorbell } = openRingLink(linkOf(order), 'b')
  let expected = 0
  let errors = 0
  for (;;) {
    const count = incoming.drain(DRAIN_MAX)
    if (count < 0) throw new Error(`the ring failed: ${incoming.fault}`)
    for (let index = 0; index < count; index++) {
      const sequence = incoming.arenaView.getUint32(incoming.payloadAt(index), true)
      if (sequence === LAST_SEQUENCE) {
        incoming.commit()
        return { is: 'received', errors, untilMs: now() }
      }
      if (sequence !== expected || incoming.payloadLength(index) < task.payloadBytes) errors++
      expected = sequence + 1
    }
    if (count > 0 ? incoming.commitLazily() : incoming.commit()) peerDoorbell.ring()
    if (count === 0) incoming.spin(SPIN_TURNS)
  }
}

export function sendToRingbuf(order: PeerOrder, task: ThroughputTask): PeerAnswer {
  const ring = new RingBuffer(order.shared, Uint8Array)
  const packet = new Uint8Array(task.payloadBytes)
  const view = new DataView(packet.buffer)
  const push = (sequence: number): void => {
    view.setUint32(0, sequence, true)
    while (ring.availableWrite() < packet.length) {
      //  the receiver is behind; it spins, so it moves soon
    }
    ring.push(packet)
  }
  let sequence = 0
  const step = (): void => {
    for (let sent = 0; sent < LOOK_EVERY; sent++) push(sequence++)
  }
  const { from, fromMs } = inPhases(task, step, () => sequence)
  push(LAST_SEQUENCE)
  return { is: 'sent', packets: sequence - from, fromMs }
}

export function receiveFromRingbuf(order: PeerOrder, task: ThroughputTask): PeerAnswer {
  const ring = new RingBuffer(order.shared, Uint8Array)
  const packet = new Uint8Array(task.payloadBytes)
  const view = new DataView(packet.buffer)
  let expected = 0
  let errors = 0
  for (;;) {
    if (ring.availableRead() < packet.length) continue
    ring.pop(packet)
    const sequence = view.getUint32(0, true)
    if (sequence === LAST_SEQUENCE) return { is: 'received', errors, untilMs: now() }
    if (sequence !== expected) errors++
    expected = sequence + 1
  }
}

/** Warm-up, then the measured stretch; says where the latter began. */
function inPhases(
  task: ThroughputTask,
  step: () => void,
  sequence: () => number,
): { readonly from: number; readonly fromMs: number } {
  for (const untilMs = now() + task.warmUpMs; now() < untilMs;) step()
  const from = sequence()
  const fromMs = now()
  for (const untilMs = fromMs + task.measureMs; now() < untilMs;) step()
  return { from, fromMs }
}

function linkOf(order: PeerOrder): RingLink {
  if (order.link === null) throw new Error('a ring task comes with a link')
  return order.link
}

function now(): number {
  return performance.timeOrigin + performance.now()
}
