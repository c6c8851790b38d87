import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import {
  type RingPort,
  createRingLink,
  openRingLink,
  waitForPacketsAsync,
  waitForSpaceAsync,
} from '@guestyard/ring'
import { expect, test } from 'vitest'
import { KINDS } from './ring-fixture.ts'

const PACKETS = 20_000
const LENGTHS = [8, 16, 64, 200, 1000]

/**
 * Sends and receives in one event loop, never more outstanding than the rings hold, so that neither
 * side waits for the other in a circle.
 */
async function exchange(
  port: RingPort,
): Promise<{ received: number; errors: number; fulls: number }> {
  const { incoming, outgoing } = port
  let sent = 0
  let received = 0
  let errors = 0
  while (received < PACKETS) {
    while (sent < PACKETS && sent - received < 64) {
      outgoing.stagingWords[0] = sent
      const status = outgoing.send(0, LENGTHS[sent % LENGTHS.length]!, 6, 0, sent, 0)
      if (status < 0) break
      if (status === 1) port.peerDoorbell.ring()
      sent += 1
    }
    const count = incoming.drain(64)
    for (let i = 0; i < count; i += 1, received += 1) {
      const right =
        incoming.tidLow(i) === received &&
        incoming.arenaWords[incoming.payloadAt(i) >> 2] === received &&
        incoming.payloadLength(i) === LENGTHS[received % LENGTHS.length]
      if (!right) errors += 1
    }
    if (incoming.commit()) port.peerDoorbell.ring()
    if (count > 0) continue
    if (received < sent) {
      await waitForPacketsAsync(port, { spinMicroseconds: 0, timeoutMs: 5000 })
    } else if (sent < PACKETS) {
      await waitForSpaceAsync(port, outgoing.neededBytes, { timeoutMs: 5000 })
    }
  }
  return { received, errors, fulls: outgoing.fulls }
}

test.each(KINDS)(
  'two threads that sleep whenever they can lose nothing, %s kernel',
  async (kind) => {
    const link = createRingLink(4096, kind)
    const worker = new Worker(new URL('./echo-worker.ts', import.meta.url), { workerData: link })
    const port = openRingLink(link, 'a')
    const result = await exchange(port)
    port.peerDoorbell.stop()
    const [other] = await once(worker, 'message')
    await worker.terminate()
    expect(result).toMatchObject({ received: PACKETS, errors: 0 })
    expect(other).toMatchObject({ end: 'stopped', packets: PACKETS, timeouts: 0 })
    expect(port.doorbell.timeouts).toBe(0)
    // Every ring was one that the signalling rule asked for.
    expect(other.rings).toBe(other.signals)
    expect(port.peerDoorbell.rings).toBe(port.incoming.signals + port.outgoing.signals)
  },
)
