import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MouseButton } from '@guestyard/input/protocol'
import { openDevice } from '@guestyard/input/testing'
import { MouseVsc } from '@guestyard/input/vsc'
import { MouseVsp, mouseOffer } from '@guestyard/input/vsp'
import { RawGuest } from './raw-guest.ts'

const RINGS = { sendBytes: 4096, receiveBytes: 4096 }

/** A pipe packet: type 1, length, then the message. */
function pipe(...message: readonly number[]): Uint8Array {
  return Uint8Array.of(1, 0, 0, 0, message.length, 0, 0, 0, ...message)
}
const REQUEST = pipe(0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 2, 0)
const ACK = pipe(3, 0, 0, 0, 1, 0, 0, 0, 0)
/** Pipe length 13: a longer one is dropped by Linux. The ring adds three bytes of padding. */
const ACCEPTED = '01 00 00 00 0d 00 00 00 01 00 00 00 05 00 00 00 00 00 02 00 01 00 00 00'

function rawMouse(): { mouse: MouseVsp; guest: RawGuest } {
  const mouse = new MouseVsp()
  return { mouse, guest: new RawGuest(mouseOffer, mouse, RINGS) }
}

function mouseWithDriver() {
  const mouse = new MouseVsp()
  const moves: string[] = []
  const events: string[] = []
  const driver = new MouseVsc({
    onMove: (x, y, buttons, wheel) => moves.push(`${x},${y} ${buttons} ${wheel}`),
    onReady: () => events.push('ready'),
    onFailed: (reason) => events.push(reason),
  })
  return { mouse, driver, moves, events, ...openDevice(mouseOffer, mouse, driver) }
}

test('a move on the host arrives at the guest, read by the descriptor the host sent', () => {
  const { mouse, driver, moves, events, loopback } = mouseWithDriver()
  expect(events).toEqual(['ready'])
  expect(mouse.moveTo(0, 32767, MouseButton.LEFT | MouseButton.MIDDLE, -3)).toBe(true)
  expect(mouse.moveTo(12345, 1, 0, 32767)).toBe(true)
  loopback.pump()
  expect(moves).toEqual(['0,32767 5 -3', '12345,1 0 32767'])
  expect(mouse.inspect()).toEqual({ state: 'active', queued: 0, sent: 2, dropped: 0 })
  expect(driver.ignored).toBe(0)
})

test('the response has a pipe length of exactly 13, and the device info follows at once', () => {
  const { mouse, guest } = rawMouse()
  guest.send(REQUEST, { flags: 1, tidLow: 7 })
  const [completion, response, info] = guest.receive()
  expect(completion).toBe('completion 7/0')
  expect(response).toBe(ACCEPTED)
  // 114 bytes: header 8, attributes 32, HID descriptor 9, report descriptor 65.
  expect(info?.slice(0, 11)).toBe('01 00 00 00')
  expect(info?.slice(12, 23)).toBe('72 00 00 00')
  expect(mouse.inspect().state).toBe('awaiting-ack')
  guest.send(ACK)
  expect(mouse.inspect().state).toBe('active')
})

test('a refused version is told with the version asked for, and another may be asked for', () => {
  const { mouse, guest } = rawMouse()
  guest.send(pipe(0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 1, 0))
  expect(guest.receive()).toEqual([
    '01 00 00 00 0d 00 00 00 01 00 00 00 05 00 00 00 00 00 01 00 00 00 00 00',
  ])
  expect(mouse.inspect().state).toBe('reading-version')
})

test('positions outside the screen and unknown buttons are dropped and counted', () => {
  const { mouse } = mouseWithDriver()
  expect(mouse.moveTo(-1, 0, 0, 0)).toBe(false)
  expect(mouse.moveTo(0, 32768, 0, 0)).toBe(false)
  expect(mouse.moveTo(0, 0, 8, 0)).toBe(false)
  expect(mouse.moveTo(0, 0, 0, -32768)).toBe(false)
  expect(mouse.moveTo(0.5, 0, 0, 0)).toBe(false)
  expect(mouse.inspect().dropped).toBe(5)
})

const BREACHES: readonly (readonly [string, readonly Uint8Array[], string])[] = [
  ['a packet without a pipe header', [new Uint8Array(0)], 'a packet that is no pipe message'],
  [
    'a pipe length beyond the packet',
    [Uint8Array.of(1, 0, 0, 0, 99, 0, 0, 0)],
    'a packet that is no pipe message',
  ],
  [
    'a pipe packet of another type',
    [Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0)],
    'a packet that is no pipe message',
  ],
  ['a message without a header', [pipe(0, 0, 0, 0)], 'a message without a header'],
  [
    'a message that claims more than there is',
    [pipe(0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 2, 0)],
    'a message that ends early',
  ],
  ['a host message', [pipe(4, 0, 0, 0, 0, 0, 0, 0)], 'a message of type 4'],
  ['an acknowledgement of nothing', [ACK], 'an acknowledgement of nothing'],
  ['a second protocol request', [REQUEST, REQUEST], 'a second protocol request'],
  ['a second acknowledgement', [REQUEST, ACK, ACK], 'an acknowledgement of nothing'],
]
for (const [what, packets, reason] of BREACHES) {
  test(`${what} fails the channel and nothing else`, () => {
    const { mouse, guest } = rawMouse()
    for (const packet of packets) guest.send(packet)
    expect(guest.failures).toEqual([`mouse: the guest sent ${reason}`])
    expect(mouse.inspect().state).toBe('closed')
  })
}

test('packets of arbitrary bytes and types never throw, and the mouse is free for the next guest', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(6, 11), fc.nat(1))),
      (packets) => {
        const { mouse, guest } = rawMouse()
        for (const [bytes, type, flags] of packets) guest.send(bytes, { type, flags })
        guest.loopback.client.close(guest.channel)
        guest.loopback.pump()
        expect(mouse.inspect()).toMatchObject({ state: 'closed', queued: 0 })
      },
    ),
    { numRuns: 40 },
  )
})
