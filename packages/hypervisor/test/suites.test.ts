// What public test suites of hypervisors ask of this interface, by their case lists and in our words: SynIC interrupts, synthetic timers,
// connections, the clock, features, IPIs. Each is a small guest program against the real hypervisor.

import {
  HvPrivilege,
  HvStatus,
  HypercallCode,
  PAGE_SIZE,
  ReferenceTscPage,
  SINT_AUTO_EOI,
  SINT_MASKED,
  STIMER_AUTO_ENABLE,
  STIMER_DIRECT,
  STIMER_ENABLE,
  STIMER_PERIODIC,
  STIMER_SINT_SHIFT,
  STIMER_VECTOR_SHIFT,
  SyntheticMsr,
  TimerMessagePayload,
  connectionId,
  hypercallInputLow,
  portId,
  privilegeMask,
} from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'

import { SYNTHETIC_MSRS } from '../src/synthetic-msrs.ts'
import { Guest, INPUT_PAGE, Mailbox, SINT, Signals, VECTOR } from './guest.ts'

const M = SyntheticMsr
const CREATED = 1000

function read(guest: Guest, msr: number, vp = 0): bigint {
  const target = guest.vps[vp]!
  expect(target.readMsr(msr, target.msr)).toBe(true)
  return (BigInt(target.msr.high) << 32n) | BigInt(target.msr.low)
}

/** Runs a VP until nothing is requested of it: the vectors it took, in order. */
function run(guest: Guest, vp = 0): number[] {
  const vectors = []
  for (let at = guest.takeInterrupt(vp); at >= 0; at = guest.takeInterrupt(vp)) vectors.push(at)
  return vectors
}

describe('synic: every SINT of every VP', () => {
  const VPS = 4
  const vectorOf = (sint: number) => 0x50 + sint

  test('raises its own vector on its own VP, with and without auto-EOI, and none once it is masked', () => {
    for (const flags of [0, SINT_AUTO_EOI]) {
      const guest = new Guest({ vpCount: VPS }).boot()
      for (let vp = 0; vp < VPS; vp++) {
        for (let sint = 0; sint < 16; sint++) {
          guest.vps[vp]!.writeMsr(M.SINT0 + sint, vectorOf(sint) | flags, 0)
        }
      }
      for (let round = 0; round < 10; round++) {
        for (let vp = 0; vp < VPS; vp++) {
          for (let sint = 0; sint < 16; sint++) {
            guest.partition.signalEventToVp((vp + round) % VPS, sint, round)
          }
        }
      }
      for (let vp = 0; vp < VPS; vp++) {
        expect(run(guest, vp)).toEqual(Array.from({ length: 16 }, (_, n) => vectorOf(15 - n)))
        for (let sint = 0; sint < 16; sint++) {
          expect(guest.eventWord(0, sint, vp)).toBe(0x3ff)
          guest.vps[vp]!.writeMsr(M.SINT0 + sint, SINT_MASKED, 0)
          expect(guest.partition.signalEventToVp(vp, sint, 1)).toBe(HvStatus.INVALID_SYNIC_STATE)
        }
        expect(run(guest, vp)).toEqual([])
      }
    }
  })

  test('two SINTs may share a vector, and a third may take it over', () => {
    const guest = new Guest().boot()
    for (const sint of [3, 4]) guest.vp.writeMsr(M.SINT0 + sint, 0x61, 0)
    guest.partition.signalEventToVp(0, 3, 0)
    guest.partition.signalEventToVp(0, 4, 0)
    expect(run(guest)).toEqual([0x61])
    guest.vp.writeMsr(M.SINT0 + 4, 0x62, 0)
    guest.partition.signalEventToVp(0, 4, 1)
    expect(run(guest)).toEqual([0x62])
  })
})

describe('stimer', () => {
  const config = (timer: number) => M.STIMER0_CONFIG + timer * 2
  const count = (timer: number) => M.STIMER0_COUNT + timer * 2
  const MS = 10_000

  function message(guest: Guest) {
    const taken = guest.takeMessage()
    return taken === undefined
      ? undefined
      : TimerMessagePayload.decode(new DataView(taken.payload.buffer))
  }

  test('periodic: ten expiries, numbered, never early and each delivered after it expired', () => {
    const guest = new Guest().boot()
    const begun = Number(read(guest, M.TIME_REF_COUNT))
    guest.vp.writeMsr(count(0), MS, 0)
    guest.vp.writeMsr(config(0), (SINT << STIMER_SINT_SHIFT) | STIMER_ENABLE | STIMER_PERIODIC, 0)
    for (let tick = 1; tick <= 10; tick++) {
      guest.clock.now100ns += MS
      expect(run(guest)).toEqual([VECTOR])
      const { timerIndex, expirationTime, deliveryTime } = message(guest)!
      expect(timerIndex).toBe(0)
      expect(Number(expirationTime)).toBeGreaterThanOrEqual(begun + tick * MS - 1)
      expect(deliveryTime).toBeGreaterThanOrEqual(expirationTime)
    }
  })

  test('one-shot and auto-enabled: both fire once, and the enable bit is clear afterwards', () => {
    for (const how of [STIMER_ENABLE, STIMER_AUTO_ENABLE]) {
      const guest = new Guest().boot()
      guest.vp.writeMsr(config(1), (SINT << STIMER_SINT_SHIFT) | (how & STIMER_AUTO_ENABLE), 0)
      const target = Number(read(guest, M.TIME_REF_COUNT)) + MS
      guest.vp.writeMsr(count(1), target, 0)
      if (how === STIMER_ENABLE) {
        guest.vp.writeMsr(config(1), (SINT << STIMER_SINT_SHIFT) | STIMER_ENABLE, 0)
      }
      expect(read(guest, config(1)) & 1n).toBe(1n)
      guest.clock.now100ns += 2 * MS
      expect(run(guest)).toEqual([VECTOR])
      expect(message(guest)?.timerIndex).toBe(1)
      expect(read(guest, config(1)) & 1n).toBe(0n)
      guest.clock.now100ns += 10 * MS
      expect(run(guest)).toEqual([])
    }
  })

  test('one-shot, with the slot busy: the message comes when the slot is free, and is not lost', () => {
    const guest = new Guest().boot()
    guest.partition.postMessageToVp(0, SINT, 1, new Uint8Array([1]), 1, 1)
    run(guest)
    guest.vp.writeMsr(count(2), 1, 0)
    guest.vp.writeMsr(config(2), (SINT << STIMER_SINT_SHIFT) | STIMER_ENABLE, 0)
    guest.clock.now100ns += MS
    expect(run(guest)).toEqual([])
    expect(guest.takeMessage()).toMatchObject({ type: 1, eom: true })
    expect(run(guest)).toEqual([VECTOR])
    expect(message(guest)?.timerIndex).toBe(2)
  })

  test('all four at once in direct mode, on every VP', () => {
    const guest = new Guest({ vpCount: 3 }).boot()
    for (const vp of guest.vps) {
      for (let timer = 0; timer < 4; timer++) {
        const vector = 0x70 + timer * 16
        vp.writeMsr(
          config(timer),
          STIMER_DIRECT | (vector << STIMER_VECTOR_SHIFT) | STIMER_ENABLE,
          0,
        )
        vp.writeMsr(count(timer), 500 + timer, 0)
      }
    }
    guest.clock.now100ns = CREATED + 502
    for (let vp = 0; vp < 3; vp++) expect(run(guest, vp)).toEqual([0x90, 0x80, 0x70])
    guest.clock.now100ns++
    for (let vp = 0; vp < 3; vp++) expect(run(guest, vp)).toEqual([0xa0])
  })
})

describe('connections', () => {
  test('unknown, deleted and of the wrong kind each have their status', () => {
    const guest = new Guest().boot()
    const mailbox = new Mailbox()
    const signals = new Signals()
    const mail = guest.messagePort(0x10, mailbox)
    const event = guest.eventPort(0x20, 4, signals)
    const post = (connection: number) => guest.post(connection, 1, new Uint8Array([1, 2, 3]))
    expect(post(mail.connection)).toBe(HvStatus.SUCCESS)
    expect(post(0x30)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(post(event.connection)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(post(0x0100_0010)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(guest.signal(mail.connection)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(guest.signal(event.connection, 3)).toBe(HvStatus.SUCCESS)
    expect(guest.signal(event.connection, 4)).toBe(HvStatus.INVALID_PARAMETER)
    guest.hypervisor.poll(100)
    expect([mailbox.received.length, signals.flags]).toEqual([1, [3]])
    guest.hypervisor.deletePort(1 as never, portId(0x10))
    expect(post(mail.connection)).toBe(HvStatus.INVALID_PORT_ID)
    guest.hypervisor.disconnectPort(guest.partition.id, connectionId(0x10))
    expect(post(mail.connection)).toBe(HvStatus.INVALID_CONNECTION_ID)
  })

  test('a message echoed by the root comes back byte for byte, from every VP to every VP', () => {
    const guest = new Guest({ vpCount: 3 }).boot()
    const { connection } = guest.messagePort(0x10, {
      canReceive: () => true,
      receiveMessage(type, payload, length, vp) {
        guest.partition.postMessageToVp((vp + 1) % 3, SINT, type, payload, length, 1)
      },
    })
    for (let vp = 0; vp < 3; vp++) {
      for (const length of [0, 1, 8, 239, 240]) {
        const sent = Uint8Array.from({ length }, (_, index) => index + vp)
        expect(guest.post(connection, 0x1234, sent, vp)).toBe(HvStatus.SUCCESS)
        guest.hypervisor.poll(10)
        expect(run(guest, (vp + 1) % 3)).toEqual([VECTOR])
        const got = guest.takeMessage(SINT, (vp + 1) % 3)
        expect([got?.type, got?.payload]).toEqual([0x1234, sent])
      }
    }
  })
})

describe('clock', () => {
  test('the page and the register agree on every VP, and neither goes back', () => {
    const guest = new Guest({ vpCount: 4 }).boot()
    guest.vp.writeMsr(M.REFERENCE_TSC, 0x2_0001, 0)
    const { scale, offset } = ReferenceTscPage.decode(guest.memory.view, 0x2_0000)
    let last = 0n
    for (let step = 1; step < 200; step++) {
      guest.clock.now100ns += step * 37
      for (let vp = 0; vp < 4; vp++) {
        const tsc = { low: 0, high: 0 }
        guest.vps[vp]!.readTsc(tsc)
        const ticks = (BigInt(tsc.high) << 32n) | BigInt(tsc.low)
        const page = ((ticks * scale) >> 64n) + offset
        const register = read(guest, M.TIME_REF_COUNT, vp)
        // The register counts on by one for each reader, so that no two read the same.
        expect(Number(register - page)).toBeLessThanOrEqual(3)
        expect(register).toBeGreaterThanOrEqual(page)
        expect(register).toBeGreaterThan(last)
        last = register
      }
    }
  })
})

describe('features', () => {
  test.each(SYNTHETIC_MSRS.map((row) => [row.name, row] as const))(
    '%s is there with its privilege, and with no other',
    (_, row) => {
      if (row.privilege === null) return
      // Not CpuManagement: with CreatePartitions it is a root partition's.
      const others = Object.values(HvPrivilege).filter(
        (bit) => bit !== row.privilege && bit !== HvPrivilege.CPU_MANAGEMENT,
      )
      const without = new Guest({ privileges: privilegeMask(others) })
      const only = new Guest({ privileges: privilegeMask([row.privilege]) })
      expect(without.vp.readMsr(row.msr, without.vp.msr)).toBe(false)
      expect(only.vp.readMsr(row.msr, only.vp.msr)).toBe(row.read !== null)
    },
  )

  test('a hypercall before the guest has said who it is, or enabled the page, is #UD', () => {
    const guest = new Guest()
    const call = () => guest.vp.hypercall(HypercallCode.GET_PARTITION_ID, 0, 0, 0, 0x4000, 0)
    expect(call()).toBe(-1)
    guest.vp.writeMsr(M.HYPERCALL, 0x1001, 0)
    expect(call()).toBe(-1)
    guest.enableHypercalls()
    expect(call()).toBe(HvStatus.SUCCESS)
  })
})

describe('ipi', () => {
  test('sender and receivers in both banks forms, fast and in memory, each exactly once', () => {
    const guest = new Guest({ vpCount: 6 }).boot()
    const input = INPUT_PAGE * PAGE_SIZE
    const { view } = guest.memory
    const slow = (code: number, words: readonly number[], variable: number) => {
      words.forEach((word, index) => view.setInt32(input + index * 4, word, true))
      return guest.vp.hypercall(hypercallInputLow(code, false, variable), 0, input, 0, 0, 0)
    }
    const received = () => guest.vps.map((_, vp) => run(guest, vp).length)
    expect(slow(HypercallCode.SEND_SYNTHETIC_CLUSTER_IPI, [0xfe, 0, 0b110000, 0], 0)).toBe(0)
    expect(received()).toEqual([0, 0, 0, 0, 1, 1])
    const fast = hypercallInputLow(HypercallCode.SEND_SYNTHETIC_CLUSTER_IPI, true)
    expect(guest.vp.hypercall(fast, 0, 0xfe, 0, 0b100100, 0)).toBe(0)
    expect(received()).toEqual([0, 0, 1, 0, 0, 1])
    const ex = HypercallCode.SEND_SYNTHETIC_CLUSTER_IPI_EX
    expect(slow(ex, [0xfe, 0, 0, 0, 1, 0, 0b1001, 0], 1)).toBe(0)
    expect(received()).toEqual([1, 0, 0, 1, 0, 0])
    expect(slow(ex, [0xfe, 0, 0, 0, 3, 0, 0b10, 0, -1, -1], 2)).toBe(0)
    expect(received()).toEqual([0, 1, 0, 0, 0, 0])
    expect(slow(ex, [0xfe, 0, 1, 0, 0, 0], 0)).toBe(0)
    expect(received()).toEqual([1, 1, 1, 1, 1, 1])
  })
})
