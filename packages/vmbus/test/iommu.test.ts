// The memory of channels through the IOMMU: what a device may reach, from when until when, and what becomes of a channel
// whose pages the partition loses.

import { SlatReader, SlatRight } from '@guestyard/guestmem'
import { describe, expect, test } from 'vitest'
import { FakeDevice, nth } from './support/fake-device.ts'
import { RawGuest, rangeOf } from './support/raw-guest.ts'

const PAGE = 4096
const RING = 7
const BUFFER = 8

interface Subject {
  readonly guest: RawGuest
  readonly device: FakeDevice
}

/** A guest with one device: channel 1, open over pages 16 to 19. */
function opened(): Subject {
  const guest = new RawGuest()
  const device = new FakeDevice()
  guest.server.offer(nth(1), device)
  guest.connect()
  guest.openFresh(1, RING)
  return { guest, device }
}

function faults(guest: RawGuest): readonly unknown[] {
  return guest.server.inspect().iommu.latestFaults
}

describe('a device', () => {
  test('has a domain of its own, which its sub-channels share', () => {
    const guest = new RawGuest()
    const [one, two] = [new FakeDevice(), new FakeDevice()]
    guest.server.offer(nth(1), one)
    guest.server.offer(nth(2), two)
    guest.connect()
    guest.openFresh(1, RING)
    guest.openFresh(2, RING)
    one.channel.offerSubChannels(1)
    guest.gpadl(3, RING, [20, 21, 22, 23])
    guest.open(3, RING)
    const [primary, sub] = one.channels
    expect(sub?.domain).toBe(primary?.domain)
    expect(two.channel.domain).not.toBe(primary?.domain)
    expect(primary?.domain.device).toBe(`${primary?.classId}/${primary?.instanceId}`)
    expect(two.channel.domain.translate(20, SlatRight.READ)).toBe(-1)
    expect(primary?.domain.translate(20, SlatRight.READ)).toBe(20)
  })

  test('reaches a buffer from GPADL_CREATED until GPADL_TORNDOWN, and not after', () => {
    const { guest, device } = opened()
    const { domain } = device.channel
    expect(domain.peek(30, SlatRight.WRITE)).toBe(-1)
    guest.gpadl(1, BUFFER, [30, 31])
    expect(guest.takeNames()).toEqual(['GPADL_CREATED 8'])
    const mapped = device.channel.gpadl(BUFFER)!
    const { pages } = mapped.ranges[0]!
    expect(pages.write(PAGE - 1, Uint8Array.of(1, 2))).toBe(true)
    guest.teardown(1, BUFFER)
    expect(pages.write(0, Uint8Array.of(3))).toBe(true)
    mapped.release()
    expect(guest.takeNames()).toEqual(['GPADL_TORNDOWN 8'])
    const before = guest.memory.u8.slice()
    expect(pages.write(5, Uint8Array.of(4))).toBe(false)
    expect(pages.read(5, new Uint8Array(1))).toBe(false)
    expect(pages.resolve()).toBeUndefined()
    expect(Buffer.compare(guest.memory.u8, before)).toBe(0)
    expect(faults(guest)).toMatchObject([
      { device: domain.device, gpa: 30 * PAGE + 5, access: SlatRight.WRITE },
      { device: domain.device, gpa: 30 * PAGE + 5, access: SlatRight.READ },
      { device: domain.device, gpa: 30 * PAGE },
    ])
  })

  test('that goes takes its domain along, once its channels have', () => {
    const guest = new RawGuest()
    const device = new FakeDevice()
    device.closesLater = true
    const offer = guest.server.offer(nth(1), device)
    guest.connect()
    guest.openFresh(1, RING)
    offer.revoke()
    guest.release(1)
    expect(guest.server.inspect().iommu.domains).toHaveLength(1)
    device.finishClose()
    expect(guest.server.inspect().iommu.domains).toHaveLength(0)
    expect(device.channel.domain.inUse).toBe(false)
  })

  test('has nothing mapped when the connection is over', () => {
    const { guest, device } = opened()
    guest.gpadl(1, BUFFER, [30, 31])
    device.channel.gpadl(BUFFER)
    guest.contact()
    expect(device.channel.domain.inUse).toBe(false)
    expect(guest.server.inspect().iommu.domains).toMatchObject([{ mappings: 0, mappedPages: 0 }])
  })
})

describe('a channel whose partition loses', () => {
  test('a page of its rings fails at once, and touches them no more', () => {
    const { guest, device } = opened()
    const { outgoing } = device.channel
    guest.slat.unmap(18, 1)
    expect(device.program.closed).toBe(true)
    expect(guest.events.at(-1)).toMatchObject({ is: 'channel-failed', relid: 1 })
    const before = guest.memory.u8.slice()
    guest.server.receiveSignal(1)
    guest.server.poll(64)
    guest.server.arm()
    outgoing.commit()
    expect(Buffer.compare(guest.memory.u8, before)).toBe(0)
    expect(device.channel.domain.inspect()).toMatchObject({ mappings: 0, revocations: 1 })
  })

  test('a page of its rings can be closed and torn down, and opened again over other pages', () => {
    const { guest } = opened()
    guest.slat.unmap(18, 1)
    guest.take()
    guest.close(1)
    guest.open(1, RING)
    guest.teardown(1, RING)
    guest.gpadl(1, BUFFER, [20, 21, 22, 23])
    guest.open(1, BUFFER)
    expect(guest.takeNames()).toEqual([
      'OPENCHANNEL_RESULT 1 failed',
      'GPADL_TORNDOWN 7',
      'GPADL_CREATED 8',
      'OPENCHANNEL_RESULT 1',
    ])
  })

  test('a page of its rings before the device has answered the open is closed when it does', () => {
    const guest = new RawGuest()
    const device = new FakeDevice()
    device.answer = 'pending'
    guest.server.offer(nth(1), device)
    guest.connect()
    guest.openFresh(1, RING)
    guest.slat.protect(16, 1, SlatRight.READ)
    device.finishOpen()
    expect(device.program.closed).toBe(true)
    expect(guest.takeNames()).toEqual(['OPENCHANNEL_RESULT 1 failed'])
  })

  test('a page of a buffer goes on without the buffer: a touch is a fault', () => {
    const { guest, device } = opened()
    guest.gpadl(1, BUFFER, [30, 31])
    const mapped = device.channel.gpadl(BUFFER)!
    guest.slat.mapMmio(31, 1, 5)
    expect(device.program.closed).toBe(false)
    expect(mapped.ranges[0]!.pages.write(0, Uint8Array.of(1))).toBe(false)
    expect(guest.memory.u8[30 * PAGE]).toBe(0)
    expect(device.channel.gpadl(BUFFER)).toBeUndefined()
    guest.take()
    mapped.release()
    guest.teardown(1, BUFFER)
    expect(guest.takeNames()).toEqual(['GPADL_TORNDOWN 8'])
  })
})

describe('a GPADL that names', () => {
  const cases: [string, (guest: RawGuest) => void, string][] = [
    ['a hole', ({ slat }) => slat.unmap(40, 1), 'no-memory'],
    ['device registers', ({ slat }) => slat.mapMmio(40, 1, 3), 'no-memory'],
    ['a page it may only read', ({ slat }) => slat.protect(40, 1, SlatRight.READ), 'no-memory'],
    [
      'the page of its messages',
      ({ slat }) => new SlatReader(slat.buffer).setOverlay(0, 0, 40),
      'overlay',
    ],
  ]
  test.each(cases)('%s is refused, and maps nothing', (_, change, reason) => {
    const { guest, device } = opened()
    change(guest)
    const mapped = device.channel.domain.inspect().mappedPages
    guest.gpadl(1, BUFFER, [39, 40, 41])
    const two = Uint8Array.from([...rangeOf([39]), ...rangeOf([40])])
    guest.gpadlHeader(1, BUFFER + 1, { rangeBytes: two.length, rangeCount: 2 }, two)
    expect(guest.takeNames()).toEqual(['GPADL_CREATED 8 failed', 'GPADL_CREATED 9 failed'])
    expect(device.channel.domain.inspect().mappedPages).toBe(mapped)
    expect(device.channel.domain.peek(39, SlatRight.READ)).toBe(-1)
    expect(faults(guest)).toMatchObject([
      { gpa: 40 * PAGE, reason },
      { gpa: 40 * PAGE, reason },
    ])
  })

  test('a page elsewhere in RAM is reached where it is', () => {
    const { guest, device } = opened()
    guest.slat.mapRam(200, 50, 1, SlatRight.READ | SlatRight.WRITE)
    guest.gpadl(1, BUFFER, [200])
    device.channel.gpadl(BUFFER)?.ranges[0]?.pages.write(3, Uint8Array.of(77))
    expect(guest.memory.u8[50 * PAGE + 3]).toBe(77)
  })

  test('one page many times is reached through each, and gone with the last', () => {
    const { guest, device } = opened()
    guest.gpadl(1, BUFFER, [30, 30, 30])
    guest.gpadl(1, BUFFER + 1, [30])
    guest.teardown(1, BUFFER)
    expect(device.channel.domain.peek(30, SlatRight.WRITE)).toBe(30)
    guest.teardown(1, BUFFER + 1)
    expect(device.channel.domain.peek(30, SlatRight.WRITE)).toBe(-1)
  })

  test('one page for all of its rings costs that channel, and nobody else', () => {
    const { guest, device } = opened()
    guest.gpadl(1, BUFFER, [30, 30, 30, 30])
    guest.close(1)
    guest.open(1, BUFFER)
    for (let turn = 0; turn < 20; turn += 1) {
      guest.memory.i32.fill(turn * 0x0101_0101, 30 * 1024, 31 * 1024)
      guest.server.receiveSignal(1)
      guest.server.poll(64)
    }
    guest.close(1)
    guest.teardown(1, BUFFER)
    expect(device.channel.domain.peek(30, SlatRight.WRITE)).toBe(-1)
  })
})
