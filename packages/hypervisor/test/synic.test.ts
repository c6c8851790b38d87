import { HvStatus, SINT_AUTO_EOI, SINT_MASKED, SINT_POLLING, SyntheticMsr } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { Guest, SINT, VECTOR } from './guest.ts'

const M = SyntheticMsr
const SLOT = SINT * 256

function post(guest: Guest, byte: number, sint = SINT): number {
  return guest.hypervisor.postMessageToVp(guest.partition.id, 0, sint, 1, new Uint8Array([byte]), 1)
}

function signal(guest: Guest, flag: number, sint = SINT): number {
  return guest.hypervisor.signalEventToVp(guest.partition.id, 0, sint, flag)
}

describe('statuses of the root’s side', () => {
  const guest = new Guest().boot()
  const { hypervisor, partition } = guest
  const bytes = new Uint8Array(240)

  test.each([
    ['VP 1 of one', 1, SINT, 1, 4, HvStatus.INVALID_VP_INDEX],
    ['SINT 16', 0, 16, 1, 4, HvStatus.INVALID_PARAMETER],
    ['SINT -1', 0, -1, 1, 4, HvStatus.INVALID_PARAMETER],
    ['type 0', 0, SINT, 0, 4, HvStatus.INVALID_PARAMETER],
    ['241 bytes', 0, SINT, 1, 241, HvStatus.INVALID_PARAMETER],
    ['a masked SINT', 0, 3, 1, 4, HvStatus.INVALID_SYNIC_STATE],
  ])('a message for %s', (_, vp, sint, type, length, status) => {
    expect(hypervisor.postMessageToVp(partition.id, vp, sint, type, bytes, length)).toBe(status)
  })

  test('a signal past the last flag is INVALID_PARAMETER, one for a masked SINT INVALID_SYNIC_STATE', () => {
    expect(signal(guest, 2048)).toBe(HvStatus.INVALID_PARAMETER)
    expect(signal(guest, -1)).toBe(HvStatus.INVALID_PARAMETER)
    expect(signal(guest, Number.NaN)).toBe(HvStatus.INVALID_PARAMETER)
    expect(signal(guest, 1, 3)).toBe(HvStatus.INVALID_SYNIC_STATE)
  })

  test.each([
    ['controller', M.SCONTROL, HvStatus.INVALID_SYNIC_STATE, HvStatus.INVALID_SYNIC_STATE],
    ['SIM page', M.SIMP, HvStatus.INVALID_SYNIC_STATE, HvStatus.SUCCESS],
    ['SIEF page', M.SIEFP, HvStatus.SUCCESS, HvStatus.INVALID_SYNIC_STATE],
  ])('with the %s off, what needs it is INVALID_SYNIC_STATE', (_, msr, message, event) => {
    const off = new Guest().boot()
    off.vp.writeMsr(msr, 0, 0)
    expect(post(off, 1)).toBe(message)
    expect(signal(off, 1)).toBe(event)
  })
})

describe('messages (TLFS, "SIM Page")', () => {
  test('a message is written as header and payload, and raises the SINT’s vector', () => {
    const guest = new Guest().boot()
    guest.memory.fill(guest.simGpa() + SLOT, 0, 256)
    const payload = Uint8Array.from({ length: 13 }, (_, i) => i + 1)
    guest.partition.postMessageToVp(0, SINT, 0x8000_0010, payload, 13, 2 ** 40 + 5)
    expect(guest.vp.deliver()).toBe(VECTOR)
    const slot = guest.memory.u8.slice(guest.simGpa() + SLOT, guest.simGpa() + SLOT + 256)
    const golden = new Uint8Array(256)
    golden.set([0x10, 0, 0, 0x80, 13, 0, 0, 0, 5, 0, 0, 0, 0, 1, 0, 0])
    golden.set(payload, 16)
    expect([...slot]).toEqual([...golden])
  })

  test('the wake-up comes with the first message, not with each', () => {
    const guest = new Guest().boot()
    for (let i = 0; i < 5; i++) post(guest, i)
    expect(guest.vpBells[0]!.rings).toBe(1)
    guest.vp.deliver()
    post(guest, 5)
    expect(guest.vpBells[0]!.rings).toBe(2)
  })

  test('with more waiting the pending flag is set as the slot is written, and EOM brings the next', () => {
    const guest = new Guest().boot()
    for (let i = 0; i < 3; i++) post(guest, i)
    const seen: [number, boolean][] = []
    while (guest.takeInterrupt() >= 0) {
      const message = guest.takeMessage()
      if (message !== undefined) seen.push([message.payload[0]!, message.eom])
    }
    expect(seen).toEqual([
      [0, true],
      [1, true],
      [2, false],
    ])
  })

  test('a message that finds the slot in use sets the pending flag in it, and comes on EOM', () => {
    const guest = new Guest().boot()
    post(guest, 1)
    guest.takeInterrupt()
    const flags = guest.simGpa() + SLOT + 5
    expect(guest.memory.u8[flags]).toBe(0)
    post(guest, 2)
    expect(guest.vp.deliver()).toBe(-1)
    expect(guest.memory.u8[flags]).toBe(1)
    expect(guest.takeMessage()).toMatchObject({ payload: new Uint8Array([1]), eom: true })
    expect(guest.vp.deliver()).toBe(VECTOR)
    expect(guest.takeMessage()).toMatchObject({ payload: new Uint8Array([2]), eom: false })
  })

  test('EOI looks again too, for a guest that freed the slot before the flag was set', () => {
    const guest = new Guest().boot()
    post(guest, 1)
    expect(guest.vp.acknowledge(guest.vp.deliver())).toBe(true)
    post(guest, 2)
    guest.vp.deliver()
    Atomics.store(guest.memory.i32, (guest.simGpa() + SLOT) / 4, 0)
    guest.vp.writeMsr(M.EOI, 0, 0)
    expect(guest.vp.deliver()).toBe(VECTOR)
    expect(guest.takeMessage()).toMatchObject({ payload: new Uint8Array([2]) })
  })

  test('the seventeenth waiting message is INSUFFICIENT_BUFFERS, and room is announced to the root', () => {
    const spaces: number[] = []
    const guest = new Guest({ listener: { queueSpace: (vp) => spaces.push(vp) } }).boot()
    for (let i = 0; i < 16; i++) expect(post(guest, i)).toBe(HvStatus.SUCCESS)
    expect(post(guest, 16)).toBe(HvStatus.INSUFFICIENT_BUFFERS)
    guest.vp.deliver()
    expect(guest.rootBell.rings).toBe(1)
    expect(guest.hypervisor.poll(10)).toBe(1)
    expect(spaces).toEqual([0])
    expect(post(guest, 16)).toBe(HvStatus.SUCCESS)
    const seen: number[] = []
    for (
      let message = guest.takeMessage();
      message !== undefined;
      guest.vp.deliver(), message = guest.takeMessage()
    ) {
      seen.push(message.payload[0]!)
    }
    expect(seen).toEqual(Array.from({ length: 17 }, (_, i) => i))
    // Room was announced once: nobody asked again.
    expect(guest.hypervisor.poll(10)).toBe(0)
    expect(spaces).toEqual([0])
  })

  test('a SINT that gets masked keeps what comes later; unmasking brings it', () => {
    const guest = new Guest().boot()
    guest.vp.writeMsr(M.SINT0 + SINT, VECTOR | SINT_MASKED, 0)
    expect(guest.partition.postMessageToVp(0, SINT, 1, new Uint8Array(1), 1, 1)).toBe(
      HvStatus.INVALID_SYNIC_STATE,
    )
    guest.vp.writeMsr(M.SINT0 + SINT, VECTOR, 0)
    expect(post(guest, 9)).toBe(HvStatus.SUCCESS)
    // The write takes what was queued before it, under the old setting.
    guest.vp.writeMsr(M.SINT0 + SINT, VECTOR | SINT_MASKED, 0)
    expect(guest.takeInterrupt()).toBe(VECTOR)
    expect(guest.takeMessage()).toMatchObject({ payload: new Uint8Array([9]) })
  })

  test('any mix of posts, deliveries and guest steps hands over every accepted message once and in order', () => {
    const step = fc.constantFrom('post', 'deliver', 'take', 'interrupt', 'mask', 'unmask')
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const guest = new Guest().boot()
        const sent: number[] = []
        const seen: number[] = []
        const take = () => {
          const message = guest.takeMessage()
          if (message !== undefined) seen.push(message.payload[0]!)
        }
        for (const name of steps) {
          if (name === 'post' && post(guest, sent.length) === HvStatus.SUCCESS) {
            sent.push(sent.length)
          }
          if (name === 'deliver') guest.vp.deliver()
          if (name === 'take') take()
          if (name === 'interrupt') guest.takeInterrupt()
          if (name === 'mask') guest.vp.writeMsr(M.SINT0 + SINT, VECTOR | SINT_MASKED, 0)
          if (name === 'unmask') guest.vp.writeMsr(M.SINT0 + SINT, VECTOR, 0)
        }
        guest.vp.writeMsr(M.SINT0 + SINT, VECTOR, 0)
        // From here the guest only does what it must: interrupt, message, EOM if the flag says so.
        take()
        for (let round = 0; round < 40 && guest.takeInterrupt() >= 0; round++) take()
        expect(seen).toEqual(sent)
      }),
    )
  })
})

describe('event flags (TLFS, "SIEF Page")', () => {
  test.each([0, 1, 31, 32, 63, 64, 1000, 2047])('flag %i is bit n % 8 of byte n / 8', (flag) => {
    const guest = new Guest().boot()
    expect(signal(guest, flag)).toBe(HvStatus.SUCCESS)
    expect(guest.vp.deliver()).toBe(VECTOR)
    const byte = guest.siefGpa() + SINT * 256 + (flag >> 3)
    expect(guest.memory.u8[byte]).toBe(1 << (flag & 7))
  })

  test('a flag that is still set raises no vector, and wakes nobody while it is on its way', () => {
    const guest = new Guest().boot()
    signal(guest, 5)
    signal(guest, 5)
    expect(guest.vpBells[0]!.rings).toBe(1)
    expect(guest.takeInterrupt()).toBe(VECTOR)
    signal(guest, 5)
    expect(guest.takeInterrupt()).toBe(-1)
    Atomics.store(guest.memory.i32, (guest.siefGpa() + SINT * 256) / 4, 0)
    signal(guest, 5)
    expect(guest.takeInterrupt()).toBe(VECTOR)
  })

  test('the other flags of a word stay as the guest left them', () => {
    const guest = new Guest().boot()
    Atomics.store(guest.memory.i32, (guest.siefGpa() + SINT * 256) / 4, 0b1010)
    signal(guest, 0)
    guest.vp.deliver()
    expect(guest.eventWord(0)).toBe(0b1011)
  })

  test('any set of flags arrives as exactly that set', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 2047 })), (flags) => {
        const guest = new Guest().boot()
        for (const flag of flags) signal(guest, flag)
        expect(guest.vp.deliver()).toBe(flags.length > 0 ? VECTOR : -1)
        const found = []
        for (let flag = 0; flag < 2048; flag++) {
          if (((guest.eventWord(flag) >>> (flag & 31)) & 1) === 1) found.push(flag)
        }
        expect(found).toEqual(flags.toSorted((a, b) => a - b))
        expect(guest.vp.hasWork).toBe(flags.length > 0)
      }),
    )
  })

  test('flags for a SINT that was masked on the way wait, and do not hide those of another', () => {
    const guest = new Guest().boot()
    guest.vp.writeMsr(M.SINT0 + 5, 0x40, 0)
    signal(guest, 1)
    guest.vp.writeMsr(M.SINT0 + SINT, VECTOR | SINT_MASKED, 0)
    expect(guest.eventWord(1)).toBe(2)
    expect(signal(guest, 2)).toBe(HvStatus.INVALID_SYNIC_STATE)
    signal(guest, 7, 5)
    expect(guest.vpBells[0]!.rings).toBe(2)
    expect(guest.vp.deliver()).toBe(VECTOR)
    expect(guest.eventWord(7, 5)).toBe(1 << 7)
  })
})

describe('SINT modes', () => {
  test('a polled SINT gets its message and flag, and no interrupt', () => {
    const guest = new Guest().boot(VECTOR | SINT_POLLING)
    post(guest, 4)
    signal(guest, 3)
    expect(guest.vp.deliver()).toBe(-1)
    expect(guest.takeMessage()).toMatchObject({ payload: new Uint8Array([4]) })
    expect(guest.eventWord(3)).toBe(8)
  })

  test('an auto-EOI interrupt never enters service', () => {
    const guest = new Guest().boot(VECTOR | SINT_AUTO_EOI)
    signal(guest, 1)
    expect(guest.vp.acknowledge(guest.vp.deliver())).toBe(true)
    expect(guest.vp.inspect().apic.inService).toEqual([])
    signal(guest, 2)
    expect(guest.vp.deliver()).toBe(VECTOR)
  })

  test('without auto-EOI the next interrupt of the class waits for EOI', () => {
    const guest = new Guest().boot()
    signal(guest, 1)
    guest.vp.acknowledge(guest.vp.deliver())
    signal(guest, 2)
    expect(guest.vp.deliver()).toBe(-1)
    guest.vp.writeMsr(M.EOI, 0, 0)
    expect(guest.vp.deliver()).toBe(VECTOR)
  })
})

describe('ping', () => {
  test('is answered by deliver and by nothing else', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    const { hypervisor, partition } = guest
    expect(hypervisor.answered(partition.id, 0)).toBe(true)
    expect(hypervisor.ping(partition.id, 0)).toBe(HvStatus.SUCCESS)
    expect(guest.vpBells[0]!.rings).toBe(1)
    guest.vps[1]!.deliver()
    expect(hypervisor.answered(partition.id, 0)).toBe(false)
    expect(guest.vp.hasWork).toBe(true)
    guest.vp.deliver()
    expect(hypervisor.answered(partition.id, 0)).toBe(true)
    expect(guest.vp.hasWork).toBe(false)
  })

  test('for a VP that is not there is a status', () => {
    const { hypervisor, partition } = new Guest()
    expect(hypervisor.ping(partition.id, 1)).toBe(HvStatus.INVALID_VP_INDEX)
    expect(hypervisor.answered(partition.id, 1)).toBe(false)
  })
})

describe('the grant', () => {
  test('is none at first, names a logical processor when given, and rings the VP both times', () => {
    const guest = new Guest({ vpCount: 2 })
    const { hypervisor, partition } = guest
    expect(guest.vp.grantedLp()).toBe(-1)
    expect(hypervisor.grant(partition.id, 0, 0)).toBe(HvStatus.SUCCESS)
    expect(hypervisor.grant(partition.id, 1, 3)).toBe(HvStatus.SUCCESS)
    expect(guest.vps.map((vp) => vp.grantedLp())).toEqual([0, 3])
    expect(hypervisor.revokeGrant(partition.id, 1)).toBe(HvStatus.SUCCESS)
    expect(guest.vps.map((vp) => vp.grantedLp())).toEqual([0, -1])
    expect(guest.vpBells.map((bell) => bell.rings)).toEqual([1, 2])
  })

  test('for a VP that is not there is a status', () => {
    const { hypervisor, partition } = new Guest()
    expect(hypervisor.grant(partition.id, 1, 0)).toBe(HvStatus.INVALID_VP_INDEX)
    expect(hypervisor.revokeGrant(partition.id, 1)).toBe(HvStatus.INVALID_VP_INDEX)
    hypervisor.deletePartition(partition.id)
    expect(hypervisor.grant(partition.id, 0, 0)).toBe(HvStatus.INVALID_PARTITION_ID)
  })
})
