// Talks to the devices that its VM's worker process emulates, and to places where there are none.

import type { Guest } from '@guestyard/child-partition'

const SERIAL_MEMORY = 0xfed0_3000

export async function main(guest: Guest): Promise<void> {
  guest.expose({ talk: () => talk(guest) })
  await new Promise((resolve) => guest.signal.addEventListener('abort', resolve))
}

async function talk({ devices }: Guest): Promise<unknown> {
  await devices.portOut(0x80, 1, 0xa5)
  await devices.portOut(0x3ff, 1, 0x5a)
  for (const byte of new TextEncoder().encode('hello, port\r\n')) {
    await devices.portOut(0x3f8, 1, byte)
  }
  await devices.write(SERIAL_MEMORY + 7, 1, 0x77)
  return {
    post: await devices.portIn(0x80, 1),
    lineStatus: await devices.portIn(0x3fd, 1),
    // The scratch register, by port and by address: one device.
    scratch: await devices.portIn(0x3ff, 1),
    memory: await devices.read(SERIAL_MEMORY + 7, 1),
    nobodysPort: await devices.portIn(0x1234, 2),
    nobodysMemory: await devices.read(0xe000_0000, 4),
    ram: await devices.read(0, 4),
  }
}
