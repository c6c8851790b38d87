/** Both ends of ringbuf.js. They spin while they wait. */

import { RingBuffer } from 'ringbuf.js'

import { inPhases, now } from './measured-stretch.ts'
import { LAST_SEQUENCE } from './peer-protocol.ts'
import type { PeerAnswer, PeerOrder, ThroughputTask } from './peer-protocol.ts'

/** Packets between two looks at the clock. */
const LOOK_EVERY = 512

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
