import { performance } from 'node:perf_hooks'
import { LoadBench } from '@guestyard/load-device/testing'

// A root with a load device, a guest that has opened it, a bus between them: all in this thread.
const bench = new LoadBench()

const outcome = bench.runLoad(
  {
    direction: 'guest-to-root',
    payloadBytes: 256,
    batch: 32,
    loop: { kind: 'closed', window: 1 },
    warmUp: { kind: 'packets', packets: 1_000 },
    measure: { kind: 'packets', packets: 20_000 },
  },
  { nowNs: () => performance.now() * 1e6 },
)

if (outcome?.ok !== true) throw new Error(outcome?.reason ?? 'the run did not end')
const { packets, bytes, sequenceErrors, peerSequenceErrors, packetsMissing } = outcome.result
const wrong = sequenceErrors + peerSequenceErrors + packetsMissing
console.log(`${packets} packets, ${bytes} bytes, ${wrong} wrong or missing`)
// prints: 20000 packets, 5120000 bytes, 0 wrong or missing
