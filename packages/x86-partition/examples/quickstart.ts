// A kernel of a few instructions, in one thread with its hypervisor: it asks CPUID who it runs under, prints the answer's first
// letters on its serial port, and ends by the debug exit port.
import { MonotonicClock } from '@guestyard/engine'
import { GuestMemory } from '@guestyard/guestmem'
import { Hypervisor, VirtualProcessor } from '@guestyard/hypervisor'
import {
  MACHINE_PRIVILEGES,
  MACHINE_ROOMS,
  MachineGuest,
  multibootImage,
} from '@guestyard/x86-partition'
import { readProcessorModule } from '@guestyard/x86-partition/node'

const LOAD = 0x10_0000
// mov eax, 0x40000000; cpuid; mov dx, 0x3f8; then for each byte of ebx: mov al, bl; out dx, al; shr ebx, 8; then exit with 7.
const letter = [0x88, 0xd8, 0xee, 0xc1, 0xeb, 0x08]
const code = [0xb8, 0, 0, 0, 0x40, 0x0f, 0xa2, 0x66, 0xba, 0xf8, 0x03]
code.push(...letter, ...letter, ...letter, ...letter, 0xb0, 7, 0xe6, 0xf4, 0xf4)
const header = [0x1bad_b002, 0x1_0000, -(0x1bad_b002 + 0x1_0000), LOAD, LOAD, 0, 0, LOAD + 32]
const kernel = Uint8Array.from([...new Uint8Array(Int32Array.from(header).buffer), ...code])

// The host's side: a partition whose memory has room for the processor, and a processor granted to it.
const clock = new MonotonicClock()
const ramBytes = 2 * 1024 * 1024
const memory = GuestMemory.create({ sizeBytes: ramBytes, rooms: MACHINE_ROOMS })
const hypervisor = new Hypervisor({ clock })
const wake = { ring() {} } // a Doorbell, where root and guest are threads
const privileges = MACHINE_PRIVILEGES
const created = hypervisor.createPartition({ memory, vpCount: 1, wakeVp: [wake], privileges })
if (!created.ok) throw new Error('there is room for one partition')
const { partition } = created
partition.vps[0]?.dispatch.grant(0, false)

// The guest's side.
const vp = new VirtualProcessor(partition.handlesFor(0)!, { memory, wakeRoot: wake, clock })
let printed = ''
const machine = await MachineGuest.create({
  vp,
  memory,
  clock,
  image: multibootImage({ kernel, commandLine: '', ramBytes }),
  wasm: readProcessorModule(),
  nowMs: () => performance.now(),
  random: () => 4,
  onSerialByte: (_port, byte) => (printed += String.fromCharCode(byte)),
  onEnd: () => {},
})
while (machine.end === null) machine.poll(1)
console.log(printed, JSON.stringify(machine.end))
// prints: Micr {"is":"exited","code":7}
