import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeyFlags, KeyboardLed } from '@guestyard/input/protocol'
import { openDevice } from '@guestyard/input/testing'
import { KeyboardVsc } from '@guestyard/input/vsc'
import { KeyboardVsp, keyboardOffer } from '@guestyard/input/vsp'
import { RawGuest } from './raw-guest.ts'

const RINGS = { sendBytes: 4096, receiveBytes: 4096 }
const REQUEST = Uint8Array.of(1, 0, 0, 0, 0, 0, 1, 0)
const ACCEPTED = '02 00 00 00 01 00 00 00'
const REFUSED = '02 00 00 00 00 00 00 00'

function rawKeyboard(queueLimit?: number): { keyboard: KeyboardVsp; guest: RawGuest } {
  const keyboard = new KeyboardVsp(queueLimit === undefined ? {} : { queueLimit })
  return { keyboard, guest: new RawGuest(keyboardOffer, keyboard, RINGS) }
}

function keyboardWithDriver(options: { readonly scatter?: boolean } = {}) {
  const keyboard = new KeyboardVsp()
  const keys: string[] = []
  const events: string[] = []
  const driver = new KeyboardVsc({
    onKey: (makeCode, flags) => keys.push(`${makeCode}/${flags}`),
    onReady: () => events.push('ready'),
    onFailed: (reason) => events.push(reason),
  })
  const open = openDevice(keyboardOffer, keyboard, driver, options)
  return { keyboard, driver, keys, events, ...open }
}

test('a keystroke pressed on the host arrives at the guest, in order, with its flags', () => {
  const { keyboard, keys, events, loopback } = keyboardWithDriver({ scatter: true })
  expect(events).toEqual(['ready'])
  expect(keyboard.pressKey(0x1e, 0)).toBe(true)
  expect(keyboard.pressKey(0x1d, KeyFlags.E0 | KeyFlags.BREAK)).toBe(true)
  expect(keyboard.pressKey(0x20ac, KeyFlags.UNICODE)).toBe(true)
  loopback.pump()
  expect(keys).toEqual(['30/0', '29/6', '8364/1'])
  expect(keyboard.inspect()).toEqual({ state: 'active', leds: 0, queued: 0, sent: 3, dropped: 0 })
})

test('the guest sets the lamps and the host sees them', () => {
  const { keyboard, driver, loopback } = keyboardWithDriver()
  expect(driver.setLeds(KeyboardLed.CAPS_LOCK)).toBe(true)
  loopback.pump()
  expect(keyboard.leds).toBe(KeyboardLed.CAPS_LOCK)
})

test('a protocol request is completed with its transaction id, then answered', () => {
  const { guest } = rawKeyboard()
  guest.send(REQUEST, { flags: 1, tidLow: 0x11223344, tidHigh: 0x7fffffff })
  expect(guest.receive()).toEqual(['completion 287454020/2147483647', ACCEPTED])
})

test('a request that asks for no completion gets none', () => {
  const { guest } = rawKeyboard()
  guest.send(REQUEST)
  expect(guest.receive()).toEqual([ACCEPTED])
})

test('a refused version leaves the guest free to ask for another', () => {
  const { keyboard, guest } = rawKeyboard()
  guest.send(Uint8Array.of(1, 0, 0, 0, 0x0d, 0xf0, 0xad, 0xba))
  expect(guest.receive()).toEqual([REFUSED])
  expect(keyboard.inspect().state).toBe('reading-version')
  guest.send(REQUEST)
  expect(guest.receive()).toEqual([ACCEPTED])
  expect(keyboard.inspect().state).toBe('active')
})

test('keystrokes are dropped and counted while no guest listens', () => {
  const { keyboard, guest } = rawKeyboard()
  expect(keyboard.pressKey(0x1e, 0)).toBe(false)
  guest.send(REQUEST)
  expect(keyboard.pressKey(0x80, 0)).toBe(false)
  expect(keyboard.pressKey(0x1e, 0x10)).toBe(false)
  expect(keyboard.pressKey(1.5, 0)).toBe(false)
  expect(keyboard.pressKey(0x1e, 0)).toBe(true)
  expect(keyboard.inspect().dropped).toBe(4)
})

test('a guest that does not read fills its ring, then the queue; then keystrokes are dropped', () => {
  const { keyboard, guest } = rawKeyboard(8)
  guest.send(REQUEST)
  guest.receive()
  let accepted = 0
  while (keyboard.pressKey(accepted % 128, 0)) accepted += 1
  // An event takes 16 + 16 + 8 bytes of a 4096-byte ring that keeps 8 free.
  expect(accepted).toBe(Math.floor((4096 - 8) / 40) + 8)
  expect(keyboard.inspect()).toMatchObject({ queued: 8, dropped: 1 })
  // Reading makes room, the host is signalled, and the rest comes in order.
  const seen: string[] = []
  for (let packets = guest.receive(); packets.length > 0; packets = guest.receive()) {
    seen.push(...packets)
  }
  expect(seen.map((bytes) => Number.parseInt(bytes.slice(12, 14), 16))).toEqual(
    Array.from({ length: accepted }, (_, index) => index % 128),
  )
  expect(keyboard.inspect()).toMatchObject({ queued: 0, sent: accepted })
})

const BREACHES: readonly (readonly [string, Uint8Array, string])[] = [
  ['an empty message', new Uint8Array(0), 'a message without a type'],
  ['an unknown type', Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0), 'a message of type 9'],
  ['lamps before a version', Uint8Array.of(4, 0, 0, 0, 1, 0, 0, 0), 'lamps before a version'],
  ['a host message', Uint8Array.of(3, 0, 0, 0, 1, 0, 0, 0), 'a message of type 3'],
]
for (const [what, bytes, reason] of BREACHES) {
  test(`${what} fails the channel and nothing else`, () => {
    const { keyboard, guest } = rawKeyboard()
    guest.send(bytes)
    expect(guest.failures).toEqual([`keyboard: the guest sent ${reason}`])
    expect(keyboard.inspect().state).toBe('closed')
  })
}

test('a second protocol request fails the channel', () => {
  const { guest } = rawKeyboard()
  guest.send(REQUEST)
  guest.send(REQUEST)
  expect(guest.failures).toEqual(['keyboard: the guest sent a second protocol request'])
})

test('a channel that failed may be closed and opened anew', () => {
  const { keyboard, guest } = rawKeyboard()
  guest.send(Uint8Array.of(9, 0, 0, 0))
  guest.loopback.client.close(guest.channel)
  guest.loopback.pump()
  const [offer] = guest.loopback.client.offers()
  const driver = new KeyboardVsc({ onKey: () => {} })
  if (offer === undefined) throw new Error('The keyboard is still offered.')
  guest.loopback.client.open(offer, RINGS, { opened: (channel) => driver.bind(channel) })
  guest.loopback.pump()
  expect(driver.state).toBe('active')
  expect(keyboard.inspect().state).toBe('active')
})

test('packets of arbitrary bytes and types never throw, and the keyboard works for the next guest', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.uint8Array({ maxLength: 48 }), fc.constantFrom(6, 11), fc.nat(1))),
      (packets) => {
        const { keyboard, guest } = rawKeyboard()
        for (const [bytes, type, flags] of packets) guest.send(bytes, { type, flags })
        guest.loopback.client.close(guest.channel)
        guest.loopback.pump()
        expect(keyboard.inspect()).toMatchObject({ state: 'closed', queued: 0 })
      },
    ),
    { numRuns: 40 },
  )
})

test('a guest that asks and never reads brings the host to rest, and gets every answer later', () => {
  const { guest } = rawKeyboard()
  const wrong = Uint8Array.of(1, 0, 0, 0, 0, 0, 9, 0)
  let sent = 0
  for (; guest.trySend(wrong, { flags: 1, tidLow: sent }); sent += 1);
  // More than the answers fill: the host has left requests in the ring.
  expect(sent).toBeGreaterThan(130)
  const seen: string[] = []
  for (let packets = guest.receive(); packets.length > 0; packets = guest.receive()) {
    seen.push(...packets)
  }
  expect(seen).toEqual(
    Array.from({ length: sent }, (_, index) => [`completion ${index}/0`, REFUSED]).flat(),
  )
})
