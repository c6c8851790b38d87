import { expect, test } from 'vitest'
import { frameBytes, macText } from '../support/frames.ts'
import { Lan } from '../support/lan.ts'

/** Every port sends frames of 1,000 bytes whenever it may, for a second. Bytes that each sent. */
function race(lan: Lan, ports: readonly number[]): number[] {
  const sent = ports.map(() => 0)
  const bytes = ports.map((port) => frameBytes({ to: 99, from: port + 1, length: 1000 }))
  for (let step = 0; step < 10_000; step += 1) {
    lan.clock.nowMs += 0.1
    for (const [index, port] of ports.entries()) {
      while (lan.ports[port]!.readyAtMs(lan.clock.nowMs) <= lan.clock.nowMs) {
        lan.send(port, bytes[index]!)
        sent[index]! += 1000
        if (sent[index]! > 1e9) throw new Error('no limit')
      }
    }
  }
  return sent
}

test('a port sends no more than its maximum, and as much', () => {
  const lan = new Lan()
  lan.plug({ maxBitsPerSecond: 8_000_000 })
  lan.plug({ address: macText(99) })
  const [sent] = race(lan, [0])
  expect(sent! / 1_000_000).toBeGreaterThan(0.98)
  expect(sent! / 1_000_000).toBeLessThan(1.05)
})

test('ports that want more than there is share it by weight', () => {
  const lan = new Lan({ capacityBitsPerSecond: 40_000_000 })
  lan.plug({ weight: 30 })
  lan.plug({ weight: 10 })
  lan.plug({ address: macText(99) })
  const [heavy, light] = race(lan, [0, 1])
  expect(heavy! / light!).toBeGreaterThan(2.7)
  expect(heavy! / light!).toBeLessThan(3.3)
  expect((heavy! + light!) / 5_000_000).toBeGreaterThan(0.95)
})

test('weights hold for ports that send 32 frames each time they may', () => {
  const lan = new Lan({ capacityBitsPerSecond: 40_000_000 })
  for (const weight of [30, 10]) lan.plug({ weight })
  lan.plug({ address: macText(99) })
  const sent = [0, 0]
  const frames = [1, 2].map((from) => frameBytes({ to: 99, from, length: 1000 }))
  for (let step = 0; step < 10_000; step += 1) {
    lan.clock.nowMs += 0.1
    for (const [port, bytes] of frames.entries()) {
      if (lan.ports[port]!.readyAtMs(lan.clock.nowMs) > lan.clock.nowMs) continue
      for (let frame = 0; frame < 32; frame += 1) lan.send(port, bytes)
      sent[port]! += 32_000
    }
  }
  expect(sent[0]! / sent[1]!).toBeGreaterThan(3 * 0.95)
  expect(sent[0]! / sent[1]!).toBeLessThan(3 * 1.05)
})

test('what one does not want, the others get', () => {
  const lan = new Lan({ capacityBitsPerSecond: 40_000_000 })
  lan.plug({ weight: 100 })
  lan.plug({ weight: 1 })
  lan.plug({ address: macText(99) })
  const [alone] = race(lan, [1])
  expect(alone! / 5_000_000).toBeGreaterThan(0.98)
})

test('a port that floods sends 512 frames at once, and 4,096 a second from then on', () => {
  const lan = new Lan()
  lan.plug()
  lan.plug()
  const [sent] = race(lan, [0])
  expect(sent! / 1000).toBeGreaterThanOrEqual(512 + 4_096 - 128)
  expect(sent! / 1000).toBeLessThanOrEqual(512 + 4_096 + 1)
})

test('what a port may flood is a setting, and none of its neighbours’', () => {
  const lan = new Lan()
  lan.plug({ floodsPerSecond: 100 })
  lan.plug({ floodsPerSecond: 10_000 })
  lan.plug()
  const [few, many] = race(lan, [0, 1])
  expect(few! / 1000).toBeLessThanOrEqual(512 + 100 + 1)
  expect(many! / 1000).toBeGreaterThan(10_000)
})

test('frames to one that is known are no floods', () => {
  const lan = new Lan()
  lan.plug()
  lan.plug({ address: macText(99) })
  const bytes = frameBytes({ to: 99, from: 1, length: 1000 })
  for (let sent = 0; sent < 10_000; sent += 1) lan.send(0, bytes)
  expect(lan.ports[0]!.readyAtMs(0)).toBe(0)
})

test.each([0, -1, Number.NaN])('an allowance of %d is refused', (floodsPerSecond) => {
  expect(() => new Lan().plug({ floodsPerSecond })).toThrow(/^floodsPerSecond must be over 0/)
})
