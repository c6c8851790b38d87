/** Both ends of a MessagePort: packets one way with acknowledgements, and round trips. */

import { once } from 'node:events'

import type { PeerAnswer, PeerOrder, RoundTripTask, ThroughputTask } from './peer-protocol.ts'
import { LAST_SEQUENCE } from './peer-protocol.ts'
import { now } from './measured-stretch.ts'

/** Without a limit a sender only fills the receiver's queue, and memory with it. */
const WINDOW = 1024
const ACKNOWLEDGE_EVERY = 64
/** Messages posted between two turns of the event loop. */
const TURN = 64

export async function sendMessages(order: PeerOrder, task: ThroughputTask): Promise<PeerAnswer> {
  const { port } = order
  let acknowledged = 0
  port.on('message', (count: number) => {
    acknowledged += count
  })
  let packet = new Uint8Array(task.payloadBytes)
  let sequence = 0
  let from = { ms: 0, sequence: 0 }
  let untilMs = now() + task.warmUpMs
  for (const phase of ['warm-up', 'measured'] as const) {
    if (phase === 'measured') {
      from = { ms: now(), sequence }
      untilMs = from.ms + task.measureMs
    }
    while (now() < untilMs) {
      for (let turn = 0; turn < TURN && sequence - acknowledged < WINDOW; turn++) {
        packet = postOne(order, task, packet, sequence++)
      }
      await turnOfTheLoop()
    }
  }
  postOne(order, task, packet, LAST_SEQUENCE)
  await once(port, 'close')
  return { is: 'sent', packets: sequence - from.sequence, fromMs: from.ms }
}

/** A copied array is posted again and again; a transferred one is gone, and made anew. */
function postOne(
  order: PeerOrder,
  task: ThroughputTask,
  packet: Uint8Array<ArrayBuffer>,
  sequence: number,
): Uint8Array<ArrayBuffer> {
  new DataView(packet.buffer).setUint32(0, sequence, true)
  if (task.peer === 'post') {
    order.port.postMessage(packet)
    return packet
  }
  order.port.postMessage(packet, [packet.buffer])
  return new Uint8Array(task.payloadBytes)
}

export function receiveMessages(order: PeerOrder): Promise<PeerAnswer> {
  const { port } = order
  let expected = 0
  let errors = 0
  return new Promise((resolve) => {
    port.on('message', (packet: Uint8Array) => {
      const sequence = new DataView(packet.buffer, packet.byteOffset).getUint32(0, true)
      if (sequence === LAST_SEQUENCE) {
        resolve({ is: 'received', errors, untilMs: now() })
        return
      }
      if (sequence !== expected) errors++
      expected = sequence + 1
      if (expected % ACKNOWLEDGE_EVERY === 0) port.postMessage(ACKNOWLEDGE_EVERY)
    })
  })
}

export async function timeOverPort(order: PeerOrder, task: RoundTripTask): Promise<PeerAnswer> {
  const { port } = order
  const times: number[] = []
  const { promise, resolve } = Promise.withResolvers<PeerAnswer>()
  const startMs = performance.now()
  const measureFromMs = startMs + task.warmUpMs
  const untilMs = measureFromMs + task.measureMs
  let sentMs = 0
  port.on('message', () => {
    const nowMs = performance.now()
    if (nowMs > untilMs) {
      port.postMessage(LAST_SEQUENCE)
      resolve({ is: 'timed', roundTripsNs: Float64Array.from(times) })
      return
    }
    if (nowMs > measureFromMs) times.push((nowMs - sentMs) * 1e6)
    sentMs = performance.now()
    port.postMessage(0)
  })
  sentMs = performance.now()
  port.postMessage(0)
  return promise
}

export function echoOverPort(order: PeerOrder): Promise<PeerAnswer> {
  return new Promise((resolve) => {
    order.port.on('message', (value: number) => {
      if (value === LAST_SEQUENCE) resolve({ is: 'echoed' })
      else order.port.postMessage(value)
    })
  })
}

function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
