// A kernel of a few instructions, in one thread with its hypervisor: it asks CPUID who it runs under, prints the answer's first
// letters on its serial port, writes to a port that this embedder serves, and ends by the debug exit port.
import { KernelHost, multibootImage } from '@guestyard/x86-partition'
import { readProcessorModule } from '@guestyard/x86-partition/node'

const LOAD = 0x10_0000
// mov eax, 0x40000000; cpuid; mov dx, 0x3f8; then for each byte of ebx: mov al, bl; out dx, al; shr ebx, 8.
const letter = [0x88, 0xd8, 0xee, 0xc1, 0xeb, 0x08]
const code = [0xb8, 0, 0, 0, 0x40, 0x0f, 0xa2, 0x66, 0xba, 0xf8, 0x03]
// mov dx, 0x3000; mov al, 42; out dx, al; then exit with 7 and halt.
code.push(...letter, ...letter, ...letter, ...letter, 0x66, 0xba, 0, 0x30, 0xb0, 42, 0xee)
code.push(0xb0, 7, 0xe6, 0xf4, 0xf4)
const header = [0x1bad_b002, 0x1_0000, -(0x1bad_b002 + 0x1_0000), LOAD, LOAD, 0, 0, LOAD + 32]
const kernel = Uint8Array.from([...new Uint8Array(Int32Array.from(header).buffer), ...code])

const ramBytes = 2 * 1024 * 1024
let printed = ''
const host = await KernelHost.create({
  image: multibootImage({ kernel, commandLine: '', ramBytes }),
  ramBytes,
  wasm: readProcessorModule(),
  random: () => 4,
  ports: [{ from: 0x3000, count: 4, write: (_port, value) => (printed += ` ${value}`) }],
  onSerialByte: (_port, byte) => (printed += String.fromCharCode(byte)),
  log: console, // warns of a kernel that waits for a second processor
})
console.log(JSON.stringify(host.run(10_000)), printed)
// prints: {"is":"exited","code":7} Micr 42
