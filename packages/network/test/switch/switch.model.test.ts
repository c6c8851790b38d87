// Frames between ports of any VLANs, against a switch of Maps that knows no limits.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { PortVlan } from '@guestyard/network'
import { BROADCAST, frameBytes } from '../support/frames.ts'
import { Lan } from '../support/lan.ts'

const AGE_MS = 100

const vlan: fc.Arbitrary<PortVlan> = fc.oneof(
  fc.constant({ mode: 'untagged' } as const),
  fc.record({ mode: fc.constant('access' as const), id: fc.integer({ min: 1, max: 3 }) }),
  fc.record({
    mode: fc.constant('trunk' as const),
    native: fc.nat(3),
    allowed: fc.subarray([1, 2, 3]),
  }),
)
const step = fc.record({
  port: fc.nat(4),
  from: fc.integer({ min: 1, max: 6 }),
  to: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constant(BROADCAST)),
  tag: fc.oneof(fc.constant(-1), fc.nat(4)),
  passMs: fc.constantFrom(0, 0, 0, 60, 101),
})

class Model {
  readonly #vlans: readonly PortVlan[]
  readonly #seen = new Map<string, { port: number; atMs: number }>()

  constructor(vlans: readonly PortVlan[]) {
    this.#vlans = vlans
  }

  send(port: number, from: number, to: number | string, tag: number, nowMs: number): string[] {
    const vid = this.#ingress(port, tag)
    if (vid === undefined) return []
    this.#seen.set(`${vid}/${from}`, { port, atMs: nowMs })
    const entry = this.#seen.get(`${vid}/${to}`)
    const isKnown = entry !== undefined && nowMs - entry.atMs <= AGE_MS
    const targets = isKnown ? [entry.port] : this.#vlans.keys()
    return [...targets]
      .filter((target) => target !== port && this.#isIn(target, vid))
      .map((target) => {
        const tagged = vid !== this.#native(target)
        const priority = 0
        return tagged ? `${target}: 60 tag ${(priority | vid).toString(16)}` : `${target}: 60`
      })
  }

  #native(port: number): number {
    const rules = this.#vlans[port]!
    if (rules.mode === 'untagged') return 0
    return rules.mode === 'access' ? rules.id : rules.native
  }

  #isIn(port: number, vid: number): boolean {
    const rules = this.#vlans[port]!
    return vid === this.#native(port) || (rules.mode === 'trunk' && rules.allowed.includes(vid))
  }

  #ingress(port: number, tag: number): number | undefined {
    const native = this.#native(port)
    if (tag <= 0) return native
    return this.#vlans[port]!.mode === 'trunk' && this.#isIn(port, tag) ? tag : undefined
  }
}

test('the switch delivers what a switch of Maps delivers', () => {
  const vlans = fc.array(vlan, { minLength: 5, maxLength: 5 })
  fc.assert(
    fc.property(vlans, fc.array(step, { maxLength: 40 }), (rules, steps) => {
      const lan = new Lan({ macAgeMs: AGE_MS })
      for (const one of rules) lan.plug({ vlan: one })
      const model = new Model(rules)
      for (const { port, from, to, tag, passMs } of steps) {
        lan.clock.nowMs += passMs
        const bytes = frameBytes({ to, from })
        const expected = model.send(port, from, to, tag, lan.clock.nowMs)
        expect(lan.send(port, bytes, tag)).toEqual(expected)
      }
    }),
    { numRuns: 150 },
  )
})
