/**
 * Both ends of bare rings of ours, over one channel or several, one way or both ways. No bus, no interrupts: they
 * spin while they wait, and check what the ends of a load check, the number and the length of every packet.
 */

import { PacketType } from '@guestyard/hvdef'
import { openRingLink, packetBytes } from '@guestyard/ring'
import type { RingLink, RingPort } from '@guestyard/ring'

import { inPhases, now } from './measured-stretch.ts'
import { LAST_SEQUENCE } from './peer-protocol.ts'
import type { BareRingTask, PeerAnswer, PeerOrder } from './peer-protocol.ts'

/** Packets between two looks at the clock, roughly. */
const LOOK_EVERY = 512
const SPIN_TURNS = 400
const DRAIN_MAX = 256

export function sendToRings(order: PeerOrder, task: BareRingTask): PeerAnswer {
  const ends = order.links.map((link) => new BareEnd(link, 'a', task))
  const count = (): number => moved(ends)
  const { from, fromMs } = inPhases(task, () => step(ends, task.bothWays), count)
  const packets = count() - from
  const untilMs = now()
  for (const end of ends) end.finish()
  if (!task.bothWays) return { is: 'sent', packets, fromMs }
  while (!receiveAll(ends, false)) {
    //  the other side ends what it sends when it has seen all of ours
  }
  return { is: 'moved', packets, errors: errorsOf(ends), fromMs, untilMs }
}

export function receiveFromRings(order: PeerOrder, task: BareRingTask): PeerAnswer {
  const ends = order.links.map((link) => new BareEnd(link, 'b', task))
  while (!receiveAll(ends, !task.bothWays)) {
    if (task.bothWays) sendAll(ends)
  }
  const untilMs = now()
  if (task.bothWays) for (const end of ends) end.finish()
  return { is: 'received', errors: errorsOf(ends), untilMs }
}

/** One end of one channel. */
class BareEnd {
  /** Packets composed, and packets taken. */
  sent = 0
  received = 0
  errors = 0
  /** The other end has sent its last packet. */
  isOver = false
  readonly #port: RingPort
  readonly #payloadBytes: number
  readonly #batch: number
  #expected = 0

  constructor(link: RingLink, side: 'a' | 'b', task: BareRingTask) {
    const batchBytes = task.batch * packetBytes(task.payloadBytes)
    this.#port = openRingLink(link, side, { outgoing: { batchBytes } })
    this.#payloadBytes = task.payloadBytes
    this.#batch = task.batch
  }

  /** Composes a batch when the last one is out, and writes what fits. Returns the packets written. */
  send(): number {
    const { outgoing } = this.#port
    if (outgoing.appended === 0) {
      for (let index = 0; index < this.#batch; index += 1) this.#append(this.sent + index)
      this.sent += this.#batch
    }
    return this.#flush()
  }

  /** Takes and checks what has come. Returns how many packets. */
  receive(): number {
    const { incoming, peerDoorbell } = this.#port
    const count = incoming.drain(DRAIN_MAX)
    if (count < 0) throw new Error(`the ring failed: ${incoming.fault}`)
    const words = incoming.arenaWords
    const payloadBytes = this.#payloadBytes
    let expected = this.#expected
    let index = 0
    for (; index < count; index += 1) {
      const sequence = words[incoming.payloadAt(index) >> 2]! >>> 0
      if (sequence === LAST_SEQUENCE) break
      if (sequence !== expected || incoming.payloadLength(index) < payloadBytes) this.errors += 1
      expected = sequence + 1
    }
    this.#expected = expected
    this.received += index
    if (index < count) this.isOver = true
    if (count > 0 && !this.isOver ? incoming.commitLazily() : incoming.commit()) peerDoorbell.ring()
    return count
  }

  spin(): void {
    this.#port.incoming.spin(SPIN_TURNS)
  }

  spinForRoom(): void {
    this.#port.outgoing.spin(SPIN_TURNS)
  }

  /** Sends what is composed, and the packet that ends the task. */
  finish(): void {
    const { outgoing } = this.#port
    while (outgoing.appended > 0) this.#flush()
    this.#append(LAST_SEQUENCE)
    while (outgoing.appended > 0) this.#flush()
  }

  #append(sequence: number): void {
    const { outgoing } = this.#port
    const at = outgoing.append(this.#payloadBytes, PacketType.DATA_INBAND, 0, 0, 0)
    if (at < 0) throw new Error(`the batch area takes no packet: ${at}`)
    outgoing.batchWords[at >> 2] = sequence
  }

  #flush(): number {
    const { outgoing, peerDoorbell } = this.#port
    const before = outgoing.appended
    if (outgoing.sendBatch()) peerDoorbell.ring()
    if (outgoing.fault !== 0) throw new Error(`the ring failed: ${outgoing.fault}`)
    return before - outgoing.appended
  }
}

function step(ends: readonly BareEnd[], bothWays: boolean): void {
  for (let done = 0; done < LOOK_EVERY;) {
    const some = sendAll(ends)
    done += some
    if (bothWays) {
      for (const end of ends) done += end.receive()
      //  both rings may be quiet: the clock is looked at all the same
      done += 1
    } else if (some === 0) {
      ends[0]?.spinForRoom()
    }
  }
}

function sendAll(ends: readonly BareEnd[]): number {
  let sent = 0
  for (const end of ends) sent += end.send()
  return sent
}

/** Receives from every end that is not over; a single quiet one is spun on. True when all are over. */
function receiveAll(ends: readonly BareEnd[], spins: boolean): boolean {
  let count = 0
  let isOver = true
  for (const end of ends) {
    if (end.isOver) continue
    count += end.receive()
    isOver &&= end.isOver
  }
  if (count === 0 && spins && ends.length === 1) ends[0]?.spin()
  return isOver
}

function moved(ends: readonly BareEnd[]): number {
  return ends.reduce((sum, end) => sum + end.sent + end.received, 0)
}

function errorsOf(ends: readonly BareEnd[]): number {
  return ends.reduce((sum, end) => sum + end.errors, 0)
}
