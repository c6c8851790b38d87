// Round trips of 64 bytes between two threads, back to back, by how the ends wait.

import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { waitForPackets, waitForPacketsAsync } from '@guestyard/ring'
import type { RingPort } from '@guestyard/ring'

import { FLAG_PING, FLAG_PONG } from './ring-tasks.ts'
import type { AskResult, WaitWay } from './ring-tasks.ts'

const PAYLOAD_BYTES = 64
/** The number that ends the other side. */
const LAST = -1
/** Trips to one reading of the clock where a trip is shorter than a reading. */
const BUSY_GROUP = 16
const SPIN_TURNS = 1 << 20
const NO_SPIN = { spinMicroseconds: 0 }

function sendNumber(port: RingPort, number: number): void {
  const { outgoing } = port
  outgoing.stagingWords[0] = number
  const sent = outgoing.send(0, PAYLOAD_BYTES, PACKET_TYPE_DATA_INBAND, 0, 0, 0)
  if (sent === 1) port.peerDoorbell.ring()
}

/** The next number, for ends that may block. */
function nextNumber(port: RingPort, wait: WaitWay): number {
  const { incoming } = port
  while (incoming.drain(1) === 0) {
    if (wait === 'busy') incoming.spin(SPIN_TURNS)
    else if (wait === 'adaptive') waitForPackets(port)
    else waitForPackets(port, NO_SPIN)
  }
  incoming.commitLazily()
  return incoming.arenaWords[incoming.payloadAt(0) >> 2]!
}

async function nextNumberAsync(port: RingPort): Promise<number> {
  const { incoming } = port
  while (incoming.drain(1) === 0) await waitForPacketsAsync(port, NO_SPIN)
  incoming.commitLazily()
  return incoming.arenaWords[incoming.payloadAt(0) >> 2]!
}

export async function askTrips(
  port: RingPort,
  wait: WaitWay,
  measureMs: number,
): Promise<AskResult> {
  const times: number[] = []
  const group = wait === 'busy' || wait === 'adaptive' ? BUSY_GROUP : 1
  // `waitAsync` does not keep an event loop alive; this does.
  const alive = setInterval(() => {}, 1000)
  let errors = 0
  let number = 0
  const untilMs = performance.now() + measureMs
  let beganMs = performance.now()
  while (beganMs < untilMs) {
    for (let trip = 0; trip < group; trip += 1, number += 1) {
      sendNumber(port, number)
      const answer = wait === 'event loop' ? await nextNumberAsync(port) : nextNumber(port, wait)
      if (answer !== number) errors += 1
    }
    const nowMs = performance.now()
    times.push(((nowMs - beganMs) * 1e6) / group)
    beganMs = nowMs
  }
  sendNumber(port, LAST)
  clearInterval(alive)
  return resultOf(times, errors)
}

export async function answerTrips(port: RingPort, wait: WaitWay): Promise<{ trips: number }> {
  const alive = setInterval(() => {}, 1000)
  for (let trips = 0; ; trips += 1) {
    const number = wait === 'event loop' ? await nextNumberAsync(port) : nextNumber(port, wait)
    if (number === LAST) {
      clearInterval(alive)
      return { trips }
    }
    sendNumber(port, number)
  }
}

/** The platform's own floor under event-loop ends: a number there and back, waited for with nothing around it. */
export async function askBare(flags: Int32Array, measureMs: number): Promise<AskResult> {
  const times: number[] = []
  const alive = setInterval(() => {}, 1000)
  let number = 0
  const untilMs = performance.now() + measureMs
  let beganMs = performance.now()
  while (beganMs < untilMs) {
    number += 1
    put(flags, FLAG_PING, number)
    for (let seen = number - 1; seen !== number;) seen = await changeOf(flags, FLAG_PONG, seen)
    const nowMs = performance.now()
    times.push((nowMs - beganMs) * 1e6)
    beganMs = nowMs
  }
  put(flags, FLAG_PONG, 0)
  put(flags, FLAG_PING, LAST)
  clearInterval(alive)
  return resultOf(times, 0)
}

export async function answerBare(flags: Int32Array): Promise<{ trips: number }> {
  const alive = setInterval(() => {}, 1000)
  let trips = 0
  for (let seen = 0; ; trips += 1) {
    seen = await changeOf(flags, FLAG_PING, seen)
    if (seen === LAST) break
    put(flags, FLAG_PONG, seen)
  }
  put(flags, FLAG_PING, 0)
  clearInterval(alive)
  return { trips }
}

function put(flags: Int32Array, word: number, value: number): void {
  Atomics.store(flags, word, value)
  Atomics.notify(flags, word)
}

/** The word's value once it is no longer `seen`. */
async function changeOf(flags: Int32Array, word: number, seen: number): Promise<number> {
  for (;;) {
    const value = Atomics.load(flags, word)
    if (value !== seen) return value
    const wait = Atomics.waitAsync(flags, word, seen)
    if (wait.async) await wait.value
  }
}

function resultOf(times: number[], errors: number): AskResult {
  times.sort((a, b) => a - b)
  return { p50Ns: at(times, 0.5), p99Ns: at(times, 0.99), errors }
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
