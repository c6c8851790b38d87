import { ManualClock } from '@guestyard/engine'
import { RootPartition } from '@guestyard/root-partition'

// A machine with a root and, for a moment, one partition. No thread waits here, so the doorbells ring nobody.
const root = new RootPartition({
  clock: new ManualClock(),
  clockOriginMs: 0,
  logicalProcessors: 2,
  openDoorbells: () => ({
    vp: { ring: () => {} },
    vpBuffer: new SharedArrayBuffer(64),
    rootBuffer: new SharedArrayBuffer(64),
  }),
  closeDoorbells: () => {},
  onBusEvent: () => {},
})

const created = root.createPartition({
  name: 'first',
  memoryBytes: 2 * 1024 * 1024,
  vpCount: 1,
  weight: 100,
})
if (!created.ok) throw new Error(created.reason)
const { partitionId } = created.start

// Whatever its guest does, the root polls: bounded work, no waiting.
root.poll(64)
await root.deletePartition(partitionId)
console.log(partitionId, root.inspect().partitions.length)
// prints: 2 0
