import { expect, test } from 'vitest'
import { frameBytes } from '../support/frames.ts'
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
  lan.plug()
  const [sent] = race(lan, [0])
  expect(sent! / 1_000_000).toBeGreaterThan(0.98)
  expect(sent! / 1_000_000).toBeLessThan(1.05)
})

test('ports that want more than there is share it by weight', () => {
  const lan = new Lan({ capacityBitsPerSecond: 40_000_000 })
  lan.plug({ weight: 30 })
  lan.plug({ weight: 10 })
  lan.plug()
  const [heavy, light] = race(lan, [0, 1])
  expect(heavy! / light!).toBeGreaterThan(2.7)
  expect(heavy! / light!).toBeLessThan(3.3)
  expect((heavy! + light!) / 5_000_000).toBeGreaterThan(0.95)
})

test('what one does not want, the others get', () => {
  const lan = new Lan({ capacityBitsPerSecond: 40_000_000 })
  lan.plug({ weight: 100 })
  lan.plug({ weight: 1 })
  lan.plug()
  const [alone] = race(lan, [1])
  expect(alone! / 5_000_000).toBeGreaterThan(0.98)
})
