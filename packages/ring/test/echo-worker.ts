// The other side of the tests between two threads: sends back what it receives, sleeping whenever
// it can.
import { parentPort, workerData } from 'node:worker_threads'
import {
  type RingLink,
  RingStatus,
  openRingLink,
  waitForPackets,
  waitForSpace,
} from '@guestyard/ring'

const port = openRingLink(workerData as RingLink, 'b')
const { incoming, outgoing } = port
let sleepsForSpace = 0

for (;;) {
  const end = waitForPackets(port, { spinMicroseconds: 0, timeoutMs: 5000 })
  if (end !== 'ready') {
    parentPort!.postMessage({
      end,
      packets: incoming.packets,
      sleepsForSpace,
      timeouts: port.doorbell.timeouts,
      rings: port.peerDoorbell.rings,
      signals: incoming.signals + outgoing.signals,
    })
    break
  }
  const count = incoming.drain(16)
  for (let i = 0; i < count; i += 1) {
    while (outgoing.writeReceived(incoming, i, 6, 0, incoming.tidLow(i), 0) === RingStatus.FULL) {
      if (outgoing.commit()) port.peerDoorbell.ring()
      // What was taken is given back first: else both sides could wait for space that the other
      // holds.
      if (incoming.commit()) port.peerDoorbell.ring()
      sleepsForSpace += 1
      waitForSpace(port, outgoing.neededBytes, { spinMicroseconds: 0, timeoutMs: 5000 })
    }
  }
  if (outgoing.commit()) port.peerDoorbell.ring()
  if (incoming.commit()) port.peerDoorbell.ring()
}
