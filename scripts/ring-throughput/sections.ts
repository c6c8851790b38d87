/**
 * The measurements: each is a number of rounds in which every peer has its turn, between two probes
 * of the machine's speed.
 */

import { medianRatio, median } from '@guestyard/scenario'

import type { PeerPair } from '../peers/peer-pair.ts'
import { SteadyRounds } from '../peers/steady-rounds.ts'
import type { Round } from '../peers/steady-rounds.ts'
import type { NativePeer } from './native-peer.ts'
import { RingThreads } from './ring-threads.ts'
import { WAIT_WAYS } from './ring-tasks.ts'
import type { SendWay } from './ring-tasks.ts'

export interface Bench {
  readonly peers: PeerPair
  readonly native: NativePeer | null
  readonly rounds: number
  readonly measureMs: number
  /** Ends everything between two turns. */
  readonly signal: AbortSignal
  /** Shows a section when it is measured. */
  readonly show: (section: Section) => void
}

const BATCH = 32
const IN_BATCHES: readonly (readonly [peer: string, way: SendWay])[] = [
  ['ring', 'each'],
  ['ring, any sizes', 'append'],
]
const ONE_BY_ONE: typeof IN_BATCHES = [['ring', 'one-by-one']]

/** C++ that only copies the packets' bytes, over both kinds of pages: the bound that the machine sets to any ring. */
export const BARE_COPIES = {
  contiguous: 'C++ bare copies',
  scattered: 'C++ bare copies, scattered',
} as const
/** Descriptor and trailer. */
const FRAMING_BYTES = 24
/** What a ring's kernel copies at once, about. */
const LONGEST_COPY_BYTES = 16_384

/** Figures of one section: by peer, medians over the rounds, and every round. */
export interface Section {
  readonly title: string
  readonly unit: 'packets/s' | 'ns'
  readonly medians: Readonly<Record<string, number>>
  readonly rounds: readonly Round<Readonly<Record<string, number>>>[]
  /** Packets lost, out of order or cut, of any peer. */
  readonly errors: number
  /** JavaScript heap bytes allocated per packet, the most of any round: sender and receiver. */
  readonly heapBytesPerPacket: readonly [number, number]
}

/** The median of the rounds' ratios; NaN when one of the peers was not there. */
export function ratioOf(section: Section, over: string, under: string): number {
  const of = (name: string): number[] =>
    section.rounds.map((round) => round.found[name] ?? Number.NaN)
  return medianRatio(of(over), of(under))
}

type Turn = (
  add: (peer: string, value: number, errors: number) => void,
  heap: (sender: number, receiver: number) => void,
) => Promise<void>

async function measure(
  bench: Bench,
  title: string,
  unit: Section['unit'],
  turn: Turn,
): Promise<Section> {
  let errors = 0
  const heap: [number, number] = [0, 0]
  const rounds = await new SteadyRounds(bench.peers, bench.rounds).run(async () => {
    bench.signal.throwIfAborted()
    const found: Record<string, number> = {}
    await turn(
      (peer, value, wrong) => {
        bench.signal.throwIfAborted()
        found[peer] = value
        errors += wrong
      },
      (sender, receiver) => {
        heap[0] = Math.max(heap[0], sender)
        heap[1] = Math.max(heap[1], receiver)
      },
    )
    return found
  })
  const names = Object.keys(rounds[0]?.found ?? {})
  const medianOf = (name: string): number =>
    median(rounds.map((round) => round.found[name] ?? Number.NaN))
  const medians = Object.fromEntries(names.map((name) => [name, medianOf(name)]))
  const section = { title, unit, medians, rounds, errors, heapBytesPerPacket: heap }
  bench.show(section)
  return section
}

/**
 * One sender, one receiver: ring over contiguous and scattered pages, C++, ringbuf.js and
 * postMessage.
 */
export async function oneWay(bench: Bench, payloads: readonly number[]): Promise<Section[]> {
  const contiguous = new RingThreads()
  const scattered = new RingThreads({ scattered: true })
  const { measureMs } = bench
  const sections: Section[] = []
  try {
    await warmUp([contiguous, scattered])
    const batches = payloads.map((payloadBytes) => ({ payloadBytes, batch: BATCH }))
    for (const { payloadBytes, batch } of [...batches, { payloadBytes: 64, batch: 1 }]) {
      const ways = batch === 1 ? ONE_BY_ONE : IN_BATCHES
      const title = `${payloadBytes} B, batch ${batch}`
      sections.push(
        await measure(bench, title, 'packets/s', async (add, heap) => {
          if (bench.native !== null) {
            const found = await bench.native.oneWay(payloadBytes, batch, measureMs)
            add('C++', found.packetsPerSecond, found.errors)
            const totalBytes = payloadBytes + FRAMING_BYTES
            const chunk = Math.min(batch * totalBytes, LONGEST_COPY_BYTES)
            for (const pages of ['contiguous', 'scattered'] as const) {
              const bytesPerSecond = await bench.native.copies(pages, chunk, measureMs)
              add(BARE_COPIES[pages], bytesPerSecond / totalBytes, 0)
            }
          }
          for (const [name, way] of ways) {
            const found = await contiguous.oneWay(way, payloadBytes, batch, measureMs)
            add(name, found.packetsPerSecond, found.errors)
            heap(found.senderHeapBytesPerPacket, found.receiverHeapBytesPerPacket)
          }
          const found = await scattered.oneWay(ways[0]![1], payloadBytes, batch, measureMs)
          add('ring, scattered', found.packetsPerSecond, found.errors)
          for (const peer of ['ringbuf.js', 'post'] as const) {
            const other = await bench.peers.throughput({
              peer,
              payloadBytes,
              batch,
              warmUpMs: 20,
              measureMs,
            })
            add(peer === 'post' ? 'postMessage' : peer, other.packetsPerSecond, other.errors)
          }
        }),
      )
    }
  } finally {
    await Promise.all([contiguous.close(), scattered.close()])
  }
  return sections
}

/** Eight senders with a ring each, one receiver that serves them in turn. */
export async function eightSenders(bench: Bench): Promise<Section> {
  const threads = new RingThreads({ senders: 8 })
  try {
    await warmUp([threads])
    return await measure(bench, '8 senders, 64 B, batch 32', 'packets/s', async (add, heap) => {
      if (bench.native !== null) {
        const found = await bench.native.oneWay(64, 32, bench.measureMs, 8)
        add('C++', found.packetsPerSecond, found.errors)
      }
      const found = await threads.oneWay('each', 64, 32, bench.measureMs)
      add('ring', found.packetsPerSecond, found.errors)
      heap(found.senderHeapBytesPerPacket, found.receiverHeapBytesPerPacket)
    })
  } finally {
    await threads.close()
  }
}

/**
 * Round trips of 64 bytes by how both ends wait, beside C++ that spins, C++ that sleeps, and a
 * MessagePort.
 */
export async function roundTrips(bench: Bench): Promise<Section> {
  const threads = new RingThreads()
  const { measureMs } = bench
  try {
    for (const wait of WAIT_WAYS) await threads.roundTrips(wait, measureMs)
    await threads.bareRoundTrips(measureMs)
    return await measure(bench, 'round trip, 64 B, p50', 'ns', async (add) => {
      for (const wait of ['spin', 'futex', 'epoll'] as const) {
        if (bench.native === null) break
        const found = await bench.native.roundTrips(wait, measureMs)
        add(`C++ ${wait}`, found.p50Ns, found.errors)
      }
      for (const wait of WAIT_WAYS) {
        const found = await threads.roundTrips(wait, measureMs)
        add(wait, found.p50Ns, found.errors)
      }
      const bare = await threads.bareRoundTrips(measureMs)
      add('bare waitAsync', bare.p50Ns, bare.errors)
      const trips = await bench.peers.roundTrips({ peer: 'port', warmUpMs: 20, measureMs })
      add('MessagePort', median([...trips]), 0)
    })
  } finally {
    await threads.close()
  }
}

/** Every way of sending once, so that what is measured afterwards is compiled. */
async function warmUp(threads: readonly RingThreads[]): Promise<void> {
  for (const one of threads) {
    for (const way of ['each', 'append', 'one-by-one'] as const) await one.oneWay(way, 64, 32, 200)
  }
}
