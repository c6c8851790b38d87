// A partition in one thread: its guest switches the hypercall page and the SynIC on, posts a message to the root,
// and is interrupted by the root's answer.
import { GuestMemory } from '@guestyard/guestmem'
import {
  HVCALL_POST_MESSAGE,
  PostMessageInput,
  SyntheticMsr,
  connectionId,
  portId,
} from '@guestyard/hvdef'
import { Hypervisor, ROOT_PARTITION_ID, VirtualProcessor } from '@guestyard/hypervisor'

const SINT = 2
const [SIM_PAGE, SIEF_PAGE, INPUT_PAGE] = [0x2000, 0x3000, 0x4000]
const clock = { nowMs: 0, now100ns: 0 }
const wake = { ring() {} } // a Doorbell, where root and guest are threads
const memory = GuestMemory.create({ sizeBytes: 64 * 1024 })

// The root's side.
const hypervisor = new Hypervisor({ clock })
const created = hypervisor.createPartition({ memory, vpCount: 1, wakeVp: [wake] })
if (!created.ok) throw new Error('there is room for one partition')
const { partition } = created
const inbox = {
  canReceive: () => true,
  receiveMessage(type: number, payload: Uint8Array, length: number) {
    console.log(
      `root: message ${type} of ${length} bytes, ${payload.subarray(0, length).join(' ')}`,
    )
    partition.signalEventToVp(0, SINT, 7)
  },
}
hypervisor.createMessagePort({
  owner: ROOT_PARTITION_ID,
  portId: portId(1),
  connectionPartition: partition.id,
  target: inbox,
})
hypervisor.connectPort(partition.id, connectionId(1), portId(1))

// The guest's side: in a worker, this would be all that it is handed.
const handles = partition.handlesFor(0)
if (handles === undefined) throw new Error('VP 0 is there')
const vp = new VirtualProcessor(handles, { memory, wakeRoot: wake, clock })
vp.writeMsr(SyntheticMsr.GUEST_OS_ID, 1, 0x8100_0000)
vp.writeMsr(SyntheticMsr.HYPERCALL, 0x1001, 0)
vp.writeMsr(SyntheticMsr.SIMP, SIM_PAGE | 1, 0)
vp.writeMsr(SyntheticMsr.SIEFP, SIEF_PAGE | 1, 0)
vp.writeMsr(SyntheticMsr.SINT0 + SINT, 0xf3, 0)
vp.writeMsr(SyntheticMsr.SCONTROL, 1, 0)

const payload = new Uint8Array(240)
payload.set([1, 2, 3])
PostMessageInput.encode(memory.view, INPUT_PAGE, {
  connectionId: 1,
  messageType: 1,
  payloadSize: 3,
  payload,
})
console.log(`guest: status ${vp.hypercall(HVCALL_POST_MESSAGE, 0, INPUT_PAGE, 0, 0, 0)}`)

hypervisor.poll(100)
const vector = vp.deliver()
vp.acknowledge(vector)
const flags = memory.u8[SIEF_PAGE + SINT * 256]
console.log(`guest: vector 0x${vector.toString(16)}, event flags 0b${flags?.toString(2)}`)
vp.endOfInterrupt()
// prints: guest: vector 0xf3, event flags 0b10000000
