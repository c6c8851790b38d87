// The real thing: root, guests and a guest's second thread that scribbles, each on a thread of its own, at full speed.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'
import { startHost, type Host, type Vm } from '@guestyard/management'
import { RingFault, ringFaultName } from '@guestyard/ring'

const MIB = 1024 * 1024
const SEED = Number(process.env['FC_SEED'] ?? 1)
const ROUNDS = 40
const WRITES_PER_ROUND = 20_000
const WRITES_EVERYWHERE = 2_000_000
const LOAD: LoadSpec = {
  direction: 'both',
  payloadBytes: 256,
  batch: 16,
  loop: { kind: 'closed', window: 32 },
  warmUp: { kind: 'packets', packets: 0 },
  measure: { kind: 'duration', durationMs: 150 },
  channels: 1,
  sendRingBytes: 65_536,
  receiveRingBytes: 65_536,
  waiting: 'event-loop',
  spinMicroseconds: 20,
}

describe('a guest whose second thread scribbles', () => {
  let folder: string
  let host: Host

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'guestyard-hostile-'))
    host = await startHost({ log: { level: 'error', destination: join(folder, 'log') } })
  })

  afterEach(async () => {
    await host.close()
    rmSync(folder, { recursive: true, force: true })
  })

  async function start(name: string, program: URL | null): Promise<Vm> {
    const vm = host.createVm({ name, memoryBytes: 8 * MIB, program })
    await vm.start()
    return vm
  }

  /** Resolves when the root sleeps: no guest can leave it busy for ever. */
  async function rootRests(): Promise<void> {
    const polls = async (): Promise<number> => {
      const { engine } = await host.inspect()
      return Number(Reflect.get(Object(engine), 'polls'))
    }
    await expect.poll(async () => (await polls()) - (await polls()), { timeout: 10_000 }).toBe(0)
  }

  const scribbles = new URL('./guests/scribbles.ts', import.meta.url)

  test('over its rings loses channel after channel, and its neighbour loses no packet', async () => {
    const neighbour = await start('neighbour', null)
    const hostile = await start('hostile', scribbles)
    // The first runs warm the code up, at both ends.
    const alone: LoadResult[] = []
    for (let run = 0; run < 5; run += 1) alone.push(await neighbour.runLoad(LOAD))
    const order = { rounds: ROUNDS, writes: WRITES_PER_ROUND, seed: SEED }
    const scribbling = hostile.call('rings', order)
    const beside = await loadsUntil(neighbour, scribbling)
    expect(await scribbling).toMatchObject({ opened: ROUNDS })

    for (const result of [...alone, ...beside]) expectWhole(result)
    expect(beside.length).toBeGreaterThan(0)
    const ratio = medianRate(beside) / medianRate(alone)
    console.log(`neighbour beside scribbling: ${ratio.toFixed(2)} of its packets a second alone`)

    await rootRests()
    // The hostile guest is as able as before once it behaves, and the root holds nothing of what it did.
    expectWhole(await hostile.runLoad({ ...LOAD, measure: { kind: 'packets', packets: 1_000 } }))
    await host.close()
    const reasons = failures(join(folder, 'log'))
    expect(reasons.length).toBeGreaterThan(0)
    const faults = Object.values(RingFault)
      .filter((fault) => fault > RingFault.NONE && fault < RingFault.CLOSED)
      .map(ringFaultName)
    for (const reason of reasons) expect(faults).toContain(reason)
    const names = [...new Set(reasons)].join(', ')
    console.log(`${reasons.length} channels are logged as given up, of ${ROUNDS}: ${names}`)
  })

  test('over all it was given harms nobody, and can be turned off', async () => {
    const neighbour = await start('neighbour', null)
    const hostile = await start('hostile', scribbles)
    expectWhole(await neighbour.runLoad(LOAD))
    // Its own thread may crash by this, and then the VM is over sooner.
    await hostile.call('everything', { rounds: 1, writes: WRITES_EVERYWHERE, seed: SEED })
    for (let run = 0; run < 4; run += 1) expectWhole(await neighbour.runLoad(LOAD))
    await rootRests()
    await hostile.turnOff()
    expect(['off', 'failed']).toContain(hostile.state)
    expectWhole(await neighbour.runLoad(LOAD))
    const { partitions } = await host.inspect()
    expect(partitions.map(({ name }) => name)).toEqual(['neighbour'])
  })
})

/** Loads one after the other, for as long as something else is under way. */
async function loadsUntil(vm: Vm, end: Promise<unknown>): Promise<LoadResult[]> {
  const other = { isOver: false }
  const over = (): void => {
    other.isOver = true
  }
  end.then(over, over)
  const results: LoadResult[] = []
  while (!other.isOver) results.push(await vm.runLoad(LOAD))
  return results
}

function expectWhole(result: LoadResult): void {
  const { sequenceErrors, peerSequenceErrors, packetsMissing } = result
  expect({ sequenceErrors, peerSequenceErrors, packetsMissing }).toEqual({
    sequenceErrors: 0,
    peerSequenceErrors: 0,
    packetsMissing: 0,
  })
  expect(result.packets).toBeGreaterThan(0)
}

/** Packets a second of the run in the middle. */
function medianRate(results: readonly LoadResult[]): number {
  const rates = results.map(({ packets, elapsedNs }) => packets / (elapsedNs / 1e9))
  return rates.toSorted((a, b) => a - b)[rates.length >> 1]!
}

/** Reasons that the root logged for channels it gave up: some of them, since a guest can cause only so many lines a second. */
function failures(path: string): string[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.includes('"channel-failed"'))
    .map((line) => String(Reflect.get(Object(JSON.parse(line)), 'reason')))
}
