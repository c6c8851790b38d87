import { Kernel } from '@guestyard/child-partition'
import { ManualClock } from '@guestyard/engine'
import { GuestMemory } from '@guestyard/guestmem'
import { Hypervisor, VirtualProcessor } from '@guestyard/hypervisor'

// A guest aimed at a bare hypervisor: it finds it, turns on what VMBus needs, and makes contact. Nobody answers here.
const clock = new ManualClock()
const memory = GuestMemory.create({ sizeBytes: 2 * 1024 * 1024 })
const silent = { ring: () => {} }
const host = new Hypervisor({ clock })
const created = host.createPartition({ memory, vpCount: 1, wakeVp: [silent] })
if (!created.ok) throw new Error('no partition')
host.grant(created.partition.id, 0, 0)

const vp = new VirtualProcessor(created.partition.handlesFor(0)!, {
  memory,
  wakeRoot: silent,
  clock,
})
const kernel = new Kernel({
  vp,
  memory,
  placement: 'contiguous',
  clock,
  onBusEvent: () => {},
  wake: () => {},
})
const found = kernel.start()
kernel.poll(64)
console.log(
  found.ok ? `${found.vendor}, VP ${found.vpIndex}, bus ${kernel.bus.state}` : found.reason,
)
