// A guest that sends frames of a thousand bytes to one address, as fast as its adapter takes them.

import type { Guest } from '@guestyard/child-partition'

const BURST = 16

export async function main(guest: Guest): Promise<void> {
  const nic = await guest.nics.get(0)
  const frame = new Uint8Array(1_000)
  frame.set([0x88, 0xb5], 12)
  frame.set(bytesOf(nic.address), 6)
  let isOn = false
  guest.expose({
    flood: (to) => {
      frame.set(bytesOf(String(to)))
      isOn = true
    },
  })
  while (!guest.signal.aborted) {
    if (isOn) for (let sent = 0; sent < BURST && nic.send(frame); sent += 1);
    await guest.compute(20)
  }
}

function bytesOf(address: string): number[] {
  return address.split(':').map((digits) => Number.parseInt(digits, 16))
}
