// The real code, interrupted: the other side's whole step is run before the n-th atomic access of this side's, for every n.
// It covers with the shipped code what test/model covers with every interleaving of a model.

import { HvStatus, SINT_MASKED, SyntheticMsr } from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'

import { Guest, Mailbox, SINT, Signals, VECTOR } from './guest.ts'

const NAMES = ['load', 'store', 'or', 'and', 'exchange', 'compareExchange', 'add', 'sub'] as const

/** Runs `step`, with `intruder` before its `at`-th atomic access. False when it has fewer. */
function interrupted(step: () => void, at: number, intruder: () => void): boolean {
  const real = Object.fromEntries(NAMES.map((name) => [name, Atomics[name]]))
  let count = 0
  let ran = false
  const restore = () => Object.assign(Atomics, real)
  for (const name of NAMES) {
    Object.assign(Atomics, {
      [name]: (...args: unknown[]) => {
        if (count++ === at && !ran) {
          ran = true
          restore()
          intruder()
        }
        return Reflect.apply(real[name]!, Atomics, args)
      },
    })
  }
  try {
    step()
  } finally {
    restore()
  }
  return ran
}

/** Sleeps and wakes as an engine: polls, unless no ring came since the last look that found nothing. */
function pollWhileRung(guest: Guest, ringsSeen: number): void {
  let seen = ringsSeen
  while (guest.rootBell.rings !== seen) {
    seen = guest.rootBell.rings
    while (guest.hypervisor.poll(10) > 0);
  }
}

describe('the root’s pass, interrupted by a guest anywhere', () => {
  test.each([0, 40, 200, 1500])(
    'no signal is lost that falls into the pass over flag %i',
    (other) => {
      for (let at = 0, more = true; more; at++) {
        const guest = new Guest().boot()
        const signals = new Signals()
        const { connection } = guest.eventPort(1, 2048, signals)
        guest.signal(connection, 0)
        guest.signal(connection, other)
        let rings = 0
        more = interrupted(
          () => {
            rings = guest.rootBell.rings
            while (guest.hypervisor.poll(10) > 0);
          },
          at,
          () => {
            signals.flags.length = 0
            guest.signal(connection, other)
          },
        )
        pollWhileRung(guest, rings)
        // What was signalled during the pass is acted on during it or after it.
        if (more) expect(signals.flags, `access ${at}`).toContain(other)
      }
    },
  )

  test('no message is lost that falls into the pass', () => {
    for (let at = 0, more = true; more; at++) {
      const guest = new Guest({ vpCount: 2 }).boot()
      const mailbox = new Mailbox()
      const { connection } = guest.messagePort(1, mailbox)
      guest.post(connection, 1, new Uint8Array([1]), 0)
      let rings = 0
      more = interrupted(
        () => {
          rings = guest.rootBell.rings
          while (guest.hypervisor.poll(10) > 0);
        },
        at,
        () => expect(guest.post(connection, 1, new Uint8Array([2]), 1)).toBe(HvStatus.SUCCESS),
      )
      pollWhileRung(guest, rings)
      if (more) {
        expect(
          mailbox.received.map((message) => message.payload[0]),
          `access ${at}`,
        ).toEqual([1, 2])
      }
    }
  })
})

describe('two VPs of a partition that post at once', () => {
  test('both messages arrive, whole', () => {
    let interruptions = 0
    for (let at = 0, more = true; more; at++) {
      const guest = new Guest({ vpCount: 2 }).boot()
      const mailbox = new Mailbox()
      const { connection } = guest.messagePort(1, mailbox)
      const first = Uint8Array.from({ length: 240 }, () => 1)
      const second = Uint8Array.from({ length: 240 }, () => 2)
      more = interrupted(
        () => guest.post(connection, 1, first, 0),
        at,
        () => {
          interruptions++
          // The intruder composes in the same input page; what the first call copied is private already, or is lost to its guest.
          guest.post(connection, 1, second, 1)
        },
      )
      while (guest.hypervisor.poll(10) > 0);
      if (!more) continue
      expect(mailbox.received, `access ${at}`).toHaveLength(2)
      for (const { payload } of mailbox.received) expect(new Set(payload).size).toBe(1)
    }
    expect(interruptions).toBeGreaterThan(5)
  })
})

describe('a VP on its way into the guest, interrupted by the root anywhere', () => {
  test('no flag and no message is lost that falls into deliver', () => {
    for (let at = 0, more = true; more; at++) {
      const guest = new Guest().boot()
      const { hypervisor, partition } = guest
      hypervisor.signalEventToVp(partition.id, 0, SINT, 3)
      hypervisor.postMessageToVp(partition.id, 0, SINT, 1, new Uint8Array([1]), 1)
      let rings = guest.vpBells[0]!.rings
      more = interrupted(
        () => guest.vp.deliver(),
        at,
        () => {
          hypervisor.signalEventToVp(partition.id, 0, SINT, 4)
          hypervisor.signalEventToVp(partition.id, 0, SINT, 700)
          hypervisor.postMessageToVp(partition.id, 0, SINT, 1, new Uint8Array([2]), 1)
        },
      )
      for (; rings !== guest.vpBells[0]!.rings; rings = guest.vpBells[0]!.rings) guest.vp.deliver()
      if (!more) continue
      expect(guest.eventWord(3) & 0b11000, `access ${at}`).toBe(0b11000)
      expect(guest.eventWord(700)).not.toBe(0)
      expect(guest.takeMessage()!.payload[0]).toBe(1)
      guest.takeInterrupt()
      expect(guest.takeMessage()?.payload[0], `access ${at}`).toBe(2)
    }
  })
})

describe('a guest that frees its slot anywhere in deliver', () => {
  test('gets the message that found the slot in use, by EOM or without', () => {
    const ways = new Set<string>()
    for (let at = 0, more = true; more; at++) {
      const guest = new Guest().boot()
      const post = (byte: number) =>
        guest.partition.postMessageToVp(0, SINT, 1, new Uint8Array([byte]), 1, 1)
      post(1)
      guest.takeInterrupt()
      post(2)
      const slot = guest.simGpa() + SINT * 256
      let owesEom = false
      more = interrupted(
        () => guest.vp.deliver(),
        at,
        () => {
          Atomics.store(guest.memory.i32, slot / 4, 0)
          owesEom = (guest.memory.u8[slot + 5]! & 1) !== 0
        },
      )
      if (!more) continue
      ways.add(owesEom ? 'EOM' : 'none')
      if (owesEom) guest.vp.writeMsr(SyntheticMsr.EOM, 0, 0)
      expect(guest.takeMessage()?.payload[0], `access ${at}`).toBe(2)
    }
    expect(ways).toEqual(new Set(['EOM', 'none']))
  })
})

describe('a SINT that is masked anywhere in the root’s signal', () => {
  test('keeps the flag for later, and its bit does not swallow the wake-up for another SINT', () => {
    let kept = 0
    for (let at = 0, more = true; more; at++) {
      const guest = new Guest().boot()
      guest.vp.writeMsr(SyntheticMsr.SINT0 + 5, 0x40, 0)
      let status = -1
      more = interrupted(
        () => {
          status = guest.partition.signalEventToVp(0, SINT, 9)
        },
        at,
        () => guest.vp.writeMsr(SyntheticMsr.SINT0 + SINT, VECTOR | SINT_MASKED, 0),
      )
      guest.vp.deliver()
      const rings = guest.vpBells[0]!.rings
      guest.partition.signalEventToVp(0, 5, 1)
      expect(guest.vpBells[0]!.rings, `access ${at}`).toBe(rings + 1)
      guest.vp.deliver()
      expect(guest.eventWord(1, 5)).toBe(2)
      if (!more || status !== HvStatus.SUCCESS || guest.eventWord(9) !== 0) continue
      kept++
      guest.vp.writeMsr(SyntheticMsr.SINT0 + SINT, VECTOR, 0)
      guest.vp.deliver()
      expect(guest.eventWord(9)).toBe(1 << 9)
    }
    expect(kept).toBeGreaterThan(0)
  })
})

describe('a VP that takes its interrupts, interrupted by a sender anywhere', () => {
  test('loses no request, no NMI and no level, from the root or from a sibling', () => {
    for (let at = 0, more = true; more; at++) {
      const guest = new Guest({ vpCount: 2 }).boot()
      const [root] = guest.partition.vps
      root!.requestInterrupt(0x41, false)
      root!.requestInterrupt(0xc1, false)
      let rings = guest.vpBells[0]!.rings
      more = interrupted(
        () => guest.vp.deliver(),
        at,
        () => {
          root!.requestNmi()
          root!.setLine(0x42, true)
          guest.vps[1]!.writeMsr(SyntheticMsr.ICR, 0xc2, 0)
        },
      )
      for (; rings !== guest.vpBells[0]!.rings; rings = guest.vpBells[0]!.rings) guest.vp.deliver()
      const { requested, level, nmi } = guest.vp.inspect().apic
      expect(requested, `access ${at}`).toEqual(more ? [0x41, 0x42, 0xc1, 0xc2] : [0x41, 0xc1])
      expect([level, nmi]).toEqual(more ? [[0x42], 'pending'] : [[], 'none'])
    }
  })
})

describe('a sender interrupted by the VP anywhere', () => {
  test('has its request taken, and by level', () => {
    for (let at = 0, more = true; more; at++) {
      const guest = new Guest().boot()
      let rings = guest.vpBells[0]!.rings
      more = interrupted(
        () => guest.partition.vps[0]!.setLine(0x42, true),
        at,
        () => guest.vp.deliver(),
      )
      for (; rings !== guest.vpBells[0]!.rings; rings = guest.vpBells[0]!.rings) guest.vp.deliver()
      const { requested, level } = guest.vp.inspect().apic
      expect([requested, level], `access ${at}`).toEqual([[0x42], [0x42]])
    }
  })
})

describe('an intercept, with the other side’s step anywhere in it', () => {
  test('reaches its owner once, and its answer reaches the VP', () => {
    const COM1 = 0x3f8
    for (let at = 0, more = true; more; at++) {
      const taken: number[] = []
      const guest = new Guest({
        listener: {
          queueSpace() {},
          intercept: (vp) => void taken.push(vp),
        },
      }).boot()
      guest.partition.installIntercept(0, 1, COM1)
      const serve = () => {
        while (guest.hypervisor.poll(10) > 0);
        guest.partition.vps[0]!.intercept.setRegister(0, 0x55, 0)
        guest.partition.completeIntercept(0)
      }
      const rings = guest.rootBell.rings
      more = interrupted(() => void guest.vp.intercepts.beginPortIn(COM1, 1), at, serve)
      if (guest.rootBell.rings !== rings) serve()
      expect([taken, guest.vp.intercepts.finish()], `access ${at}`).toEqual([[0], 'done'])
      expect(guest.vp.intercepts.value.low).toBe(0x55)
    }
  })
})

describe('two VPs that move the partition’s overlay at once', () => {
  test('leave it where the register says, and all other RAM as it was', () => {
    const isPaint = (guest: Guest, page: number) => guest.memory.u8[page * 4096 + 77] === page
    for (let at = 0, more = true; more && at < 400; at += at < 40 ? 1 : 37) {
      const guest = new Guest({ vpCount: 2 }).boot()
      for (const page of [40, 41, 42]) guest.memory.u8[page * 4096 + 77] = page
      const place = (vp: number, page: number) =>
        guest.vps[vp]!.writeMsr(SyntheticMsr.REFERENCE_TSC, page * 4096 + 1, 0)
      place(0, 40)
      more = interrupted(
        () => place(0, 41),
        at,
        () => place(1, 42),
      )
      guest.vp.readMsr(SyntheticMsr.REFERENCE_TSC, guest.vp.msr)
      const where = guest.vp.msr.low >>> 12
      expect([41, 42]).toContain(where)
      expect(
        [40, 41, 42].map((page) => isPaint(guest, page)),
        `access ${at}`,
      ).toEqual([40, 41, 42].map((page) => page !== where))
    }
  })
})
