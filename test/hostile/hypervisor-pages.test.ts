// A guest that scribbles over what the hypervisor shares with it: its VP's page and its partition's page. It may lose its own
// messages and signals by it; the root goes on, the neighbour does not notice, and the partition can be deleted.

import { describe, expect, test } from 'vitest'

import { EndlessLoad } from './endless-load.ts'
import { RawGuest, initiateContact } from './raw-guest.ts'
import { Random } from './random.ts'
import { Yard, type BarePartition } from './yard.ts'

const SEED = Number(process.env['FC_SEED'] ?? 1)
const VALUES = [0, 1, -1, 0x7fff_ffff, 0x8000_0000 | 0, 0x0100_0000, 0x00ff_ffff, 17] as const
const VERSION = 0x0005_0003

interface Scene {
  readonly yard: Yard
  readonly neighbour: EndlessLoad
  /** What the root holds without the victim. */
  readonly baseline: string
}

function scene(): Scene {
  const yard = new Yard()
  const neighbour = new EndlessLoad(yard, yard.boot('neighbour'))
  yard.restRoot()
  return { yard, neighbour, baseline: totals(yard) }
}

function totals(yard: Yard): string {
  const { hypervisor, partitions } = yard.root.inspect()
  return JSON.stringify({
    ports: Reflect.get(Object(hypervisor), 'ports'),
    partitions: partitions.length,
  })
}

/** Everything the root does towards a guest: answers, interrupts, input, pings. */
function rootActsOn({ yard }: Scene, victim: RawGuest, random: Random): void {
  const id = victim.partition.partitionId
  const devices = yard.root.devicesOf(id)
  devices?.keyboard.pressKey(random.below(128), 0)
  devices?.mouse.moveTo(random.below(32_768), random.below(32_768), 0, 0)
  yard.root.ping(id)
  yard.root.answered(id, 1_000)
  victim.post(initiateContact(VERSION))
  victim.signal(0x2001)
}

function pagesOf(partition: BarePartition): Int32Array[] {
  const { vpPage, partitionPage } = partition.handles
  return [new Int32Array(vpPage), new Int32Array(partitionPage)]
}

describe('a guest that scribbles over the pages of its hypervisor', () => {
  test('holds up neither root nor neighbour with any boundary value in any word', () => {
    const on = scene()
    const random = new Random(SEED)
    const victim = new RawGuest(on.yard, on.yard.create('victim'))
    victim.connect(VERSION)
    for (const page of pagesOf(victim.partition)) {
      for (let word = 0; word < page.length; word += 1) {
        // The slots of messages are data, one like the other: every word of each is too much for a test of seconds.
        if (word >= 4096 && word % 64 > 5) continue
        const before = page[word]!
        for (const value of VALUES) {
          Atomics.store(page, word, value)
          on.yard.pollRoot()
        }
        Atomics.store(page, word, before)
        if (word % 16 !== 0) continue
        rootActsOn(on, victim, random)
        on.yard.restRoot()
        on.neighbour.mustProgress()
      }
    }
    on.neighbour.mustBeUntouched()
    on.yard.delete(victim.partition)
    expect(totals(on.yard)).toBe(on.baseline)
  })

  test('holds up neither root nor neighbour with many words at once, and is deleted without a trace', () => {
    const on = scene()
    const random = new Random(SEED)
    for (let life = 0; life < 40; life += 1) {
      const victim = new RawGuest(on.yard, on.yard.create(`victim ${life}`, 2 * 1024 * 1024))
      victim.connect(VERSION)
      const pages = pagesOf(victim.partition)
      for (let burst = 0; burst < 50; burst += 1) {
        for (let i = random.below(200); i >= 0; i -= 1) {
          const page = random.pick(pages)
          // The words that say where everything else is come first on both pages.
          const word = random.below(random.chance(70) ? 1024 : page.length)
          Atomics.store(page, word, random.chance(50) ? random.u32() | 0 : random.pick(VALUES))
        }
        rootActsOn(on, victim, random)
        on.yard.pollRoot()
        on.neighbour.mustProgress()
      }
      on.yard.restRoot()
      on.yard.delete(victim.partition)
      on.yard.restRoot()
      expect(totals(on.yard)).toBe(on.baseline)
    }
    on.neighbour.mustBeUntouched()
  })
})
