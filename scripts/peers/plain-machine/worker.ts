/**
 * The processor package as it is: no hypervisor, its own firmware's PC, its own disk and network card, and the kernel that Guestyard boots. A
 * peer for figures: nothing here is adapted.
 */

import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import { ExecChannel, initramfs } from '@guestyard/x86-partition'
import { linuxCacheFolder, readLinuxGuest } from '@guestyard/x86-partition/node'
import { V86 } from 'v86'

import type { PlainCommand, PlainReply, PlainSettings } from './protocol.ts'

/** As for Guestyard's guests; and no hot-plug, which the firmware describes and the processor package does not have. */
const COMMAND_LINE =
  'console=ttyS0 quiet panic=-1 random.trust_cpu=on cryptomgr.notests noisapnp acpiphp.disable=1'
/** Drivers of what a plain PC has not. */
const ENLIGHTENED = /^(hv_|hyperv|hid)/
const VGA_BYTES = 0x4_0000

const settings = workerData as PlainSettings
const guest = readLinuxGuest(linuxCacheFolder())
const mark = randomBytes(12).toString('hex')
const initrd = initramfs({
  busybox: guest.busybox,
  modules: guest.modules.filter(({ file }) => !ENLIGHTENED.test(file)),
  shell: false,
  mark,
})

const options = {
  wasm_path: fileURLToPath(new URL('v86.wasm', import.meta.resolve('v86'))),
  memory_size: settings.memoryBytes,
  vga_memory_size: VGA_BYTES,
  bios: { buffer: guest.firmware.slice().buffer },
  bzimage: { buffer: Uint8Array.from(guest.kernel).buffer },
  initrd: { buffer: initrd.buffer },
  cmdline: COMMAND_LINE,
  hda: { buffer: new ArrayBuffer(settings.diskBytes) },
  net_device:
    settings.network === null
      ? { type: 'none' }
      : { type: 'ne2k', relay_url: 'inbrowser', id: settings.network },
  acpi: true,
  uart1: true,
  autostart: true,
  disable_speaker: true,
  disable_keyboard: true,
  disable_mouse: true,
}
const machine = new V86(options as unknown as ConstructorParameters<typeof V86>[0])
const exec = new ExecChannel(
  mark,
  (bytes) => machine.serial_send_bytes(1, bytes),
  () => reply({ id: 0, exitCode: 0, output: new Uint8Array() }),
)
machine.add_listener('serial1-output-byte', (byte) => exec.receive(byte))
parentPort?.on('message', ({ id, script }: PlainCommand) => {
  exec.run(script, ({ exitCode, output }) => reply({ id, exitCode, output }))
})

function reply(answer: PlainReply): void {
  parentPort?.postMessage(answer)
}
