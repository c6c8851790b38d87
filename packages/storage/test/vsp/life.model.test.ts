// A controller's life as a list of random commands: every request that was taken is answered once, or given up with its channel;
// what is mapped is what runs; nothing is left behind.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { StorOperation } from '@guestyard/storage/protocol'
import type { ClientChannel } from '@guestyard/vmbus/client'
import { FakeTarget } from '../support/fake-target.ts'
import { RawGuest, readCdb, srb } from '../support/raw-guest.ts'

const SUB_CHANNELS = 2

interface Lane {
  channel: ClientChannel
  /** Transactions that are not answered. */
  readonly waiting: Set<number>
}

class Real {
  readonly target = new FakeTarget()
  readonly guest: RawGuest
  lanes: Lane[] = []
  #tid = 0

  constructor() {
    this.guest = new RawGuest({
      vsp: { target: this.target, maxSubChannels: SUB_CHANNELS, requestsPerChannel: 8 },
      ringBytes: 4096,
      loopback: { memoryBytes: 1024 * 1024 },
    })
    this.start()
  }

  start(): void {
    this.guest.shakeHands()
    this.lanes = [{ channel: this.guest.channel, waiting: new Set() }]
  }

  get isOpen(): boolean {
    return this.lanes.length > 0
  }

  lane(n: number): Lane | undefined {
    return this.lanes[n % Math.max(1, this.lanes.length)]
  }

  /** A transaction id that no other request of this run has: several of a kind may wait at once. */
  nextTid(): number {
    this.#tid += 1
    return this.#tid
  }

  send(lane: Lane, hasData: boolean): void {
    const tid = this.nextTid()
    const packet = hasData
      ? srb(readCdb(0, 1), { direction: 1, length: 512 })
      : srb([0, 0, 0, 0, 0, 0])
    const written = hasData
      ? this.guest.writeDirect(packet, tid, [[0, 512, [20 + (tid % 8)]]], lane.channel)
      : this.guest.write(packet, tid, 1, lane.channel)
    if (written) lane.waiting.add(tid)
  }

  /** Reads every channel; what comes answers what waits. */
  read(): void {
    for (const lane of this.lanes) {
      for (const { isCompletion, tid } of this.guest.receive(lane.channel)) {
        if (!isCompletion) continue
        if (!lane.waiting.delete(tid)) throw new Error(`an answer to ${tid}, which waits for none`)
      }
    }
  }

  check(): void {
    for (const channel of this.guest.vsp.inspect().channels) {
      if (channel.running > 8) throw new Error(`${channel.running} requests run`)
    }
    const [failure] = this.guest.failures
    if (failure !== undefined) throw new Error(`the channel failed: ${failure}`)
  }

  get running(): number {
    return this.guest.vsp.inspect().channels.reduce((sum, channel) => sum + channel.running, 0)
  }
}

type Step = (real: Real, n: number) => void

const steps: Record<string, Step> = {
  send: (real, n) => {
    const lane = real.lane(n)
    if (lane !== undefined) real.send(lane, false)
  },
  sendData: (real, n) => {
    const lane = real.lane(n)
    if (lane !== undefined) real.send(lane, true)
  },
  flood: (real, n) => {
    const lane = real.lane(n)
    if (lane === undefined) return
    for (let sent = 0; sent < 60; sent += 1) real.send(lane, sent % 2 === 0)
  },
  pump: (real) => real.guest.loopback.pump(),
  read: (real) => real.read(),
  hold: (real) => {
    real.target.holds = true
  },
  pass: (real) => {
    real.target.holds = false
  },
  cling: (real, n) => {
    real.target.clings = n % 2 === 0
  },
  release: (real, n) => {
    real.target.release(1 + (n % 9), n % 2 === 0)
    real.guest.vsp.wake()
  },
  change: (real) => real.target.changed(),
  subChannels: (real) => {
    if (real.lanes.length !== 1) return
    const before = real.guest.subChannels.length
    const packet = new Uint8Array(64)
    packet.set([StorOperation.CREATE_SUB_CHANNELS, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, SUB_CHANNELS])
    const tid = real.nextTid()
    if (!real.guest.write(packet, tid)) return
    real.lanes[0]!.waiting.add(tid)
    real.guest.loopback.pump()
    for (const channel of real.guest.subChannels.slice(before)) {
      if (channel.state === 'open') real.lanes.push({ channel, waiting: new Set() })
    }
  },
  reset: (real) => {
    const [primary] = real.lanes
    const packet = new Uint8Array(64)
    packet.set([StorOperation.RESET_BUS, 0, 0, 0, 1])
    const tid = real.nextTid()
    if (primary !== undefined && real.guest.write(packet, tid)) primary.waiting.add(tid)
    real.guest.loopback.pump()
    real.read()
  },
  close: (real) => {
    if (!real.isOpen) return
    real.guest.loopback.client.close(real.guest.channel)
    real.lanes = []
    real.guest.loopback.pump()
  },
  open: (real) => {
    if (real.isOpen || real.guest.channel.state !== 'closed') return
    const clings = real.target.holds
    real.target.holds = false
    real.guest.open()
    real.start()
    real.target.holds = clings
  },
}

class Command implements fc.Command<object, Real> {
  readonly #name: string
  readonly #n: number

  constructor(name: string, n: number) {
    this.#name = name
    this.#n = n
  }

  check(): boolean {
    return true
  }

  run(_model: object, real: Real): void {
    steps[this.#name]!(real, this.#n)
    real.check()
  }

  toString(): string {
    return `${this.#name}(${this.#n})`
  }
}

test('requests are answered once, whatever happens to their controller', () => {
  const command = fc
    .tuple(fc.constantFrom(...Object.keys(steps)), fc.nat(9))
    .map(([name, n]) => new Command(name, n))
  fc.assert(
    fc.property(fc.commands([command], { maxCommands: 40 }), (commands) => {
      const real = new Real()
      fc.modelRun(() => ({ model: {}, real }), commands)
      settle(real)
    }),
    { numRuns: 60 },
  )
})

/** Lets everything end, and looks at what is left: nothing. */
function settle(real: Real): void {
  const { target, guest } = real
  target.holds = false
  for (let round = 0; round < 200 && (real.running > 0 || waits(real) || round < 2); round += 1) {
    target.release()
    guest.vsp.wake()
    guest.loopback.pump()
    real.read()
  }
  expect(real.lanes.flatMap((lane) => [...lane.waiting])).toEqual([])
  guest.loopback.client.unload()
  guest.loopback.pump()
  expect(guest.vsp.inspect()).toMatchObject({ channels: [], closing: 0 })
  expect(guest.loopback.server.devicesInUse).toBe(0)
  const { domains } = guest.loopback.iommu.inspect()
  expect(domains.reduce((sum, domain) => sum + domain.mappedPages, 0)).toBe(0)
}

function waits(real: Real): boolean {
  return real.lanes.some((lane) => lane.waiting.size > 0)
}
