// Two threads, two rings, nothing posted between them but the link.
import { Worker, isMainThread, workerData } from 'node:worker_threads'
import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { type RingLink, createRingLink, openRingLink, waitForPackets } from '@guestyard/ring'

const COUNT = 100_000

if (isMainThread) {
  const link = createRingLink(1 << 20)
  const worker = new Worker(new URL(import.meta.url), { workerData: link })
  const port = openRingLink(link, 'a')
  let received = 0
  let sum = 0
  while (received < COUNT && waitForPackets(port) === 'ready') {
    const count = port.incoming.drain(64)
    for (let i = 0; i < count; i += 1) {
      sum += port.incoming.arenaWords[port.incoming.payloadAt(i) >> 2]!
    }
    received += count
    if (port.incoming.commit()) port.peerDoorbell.ring()
  }
  await worker.terminate()
  console.log(`received ${received} packets, their numbers add up to ${sum}`)
} else {
  const port = openRingLink(workerData as RingLink, 'b')
  const { outgoing } = port
  for (let sequence = 0; sequence < COUNT;) {
    outgoing.stagingWords[0] = sequence
    const status = outgoing.send(0, 64, PACKET_TYPE_DATA_INBAND, 0, sequence, 0)
    if (status >= 0) sequence += 1
    if (status === 1) port.peerDoorbell.ring()
  }
}

// prints: received 100000 packets, their numbers add up to 4999950000
