// A guest that means no good to its switch: broadcasts, or frames from ever new addresses, as fast as its adapter takes them.

import type { Guest, GuestNic } from '@guestyard/child-partition'

const FRAME_BYTES = 60
/** Frames between looks at whether it is to stop. */
const BURST = 64

export async function main(guest: Guest): Promise<void> {
  const nic = await guest.nics.get(0)
  let kind = 'none'
  let sent = 0
  guest.expose({
    begin: (of) => void (kind = String(of)),
    end: () => {
      kind = 'none'
      return sent
    },
  })
  while (!guest.signal.aborted) {
    if (kind !== 'none') sent += burst(nic, kind, sent)
    // Its processor is not the only one's: what it computes is charged to it.
    await guest.compute(kind === 'none' ? 1_000 : 10)
  }
}

function burst(nic: GuestNic, kind: string, before: number): number {
  let sent = 0
  while (sent < BURST && nic.send(frameOf(nic, kind, before + sent))) sent += 1
  return sent
}

function frameOf(nic: GuestNic, kind: string, number: number): Uint8Array {
  const frame = new Uint8Array(FRAME_BYTES)
  frame.fill(0xff, 0, 6)
  frame.set(
    nic.address.split(':').map((digits) => Number.parseInt(digits, 16)),
    6,
  )
  frame.set([0x88, 0xb5], 12)
  if (kind === 'addresses') frame.set([2, 7, number >> 24, number >> 16, number >> 8, number], 6)
  return frame
}
