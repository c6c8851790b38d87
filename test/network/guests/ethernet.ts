// A guest on a switch: it sends every frame back to where it came from, or asks another one that does.

import type { Guest, GuestNic } from '@guestyard/child-partition'

/** Local experimental type: nobody else speaks it. */
const TYPE = [0x88, 0xb5]
const ADDRESSES_BYTES = 12

export async function main(guest: Guest): Promise<void> {
  // Exposed before the adapter is up: whoever asks waits for it.
  const found = guest.nics.get(0)
  const opened = found.then((nic) => ({ nic, answers: nic.frames[Symbol.asyncIterator]() }))
  guest.expose({
    address: async () => (await found).address,
    isLinkUp: async () => (await found).isLinkUp,
    /** Sends frames of growing length to an address, each when the one before has come back; how many came back as they were. */
    ask: async (data) => {
      const { to, count } = data as { readonly to: string; readonly count: number }
      const { nic, answers } = await opened
      let same = 0
      for (let index = 0; index < count; index += 1) {
        const length = 60 + ((index * 37) % (nic.maxFrameBytes - 60))
        const frame = frameTo(to, nic, length, index)
        if (!nic.send(frame)) throw new Error('there is no room for a frame')
        const { value } = await answers.next()
        const body = (value as Uint8Array).subarray(ADDRESSES_BYTES)
        if (body.every((byte, at) => byte === frame[at + ADDRESSES_BYTES])) same += 1
      }
      return same
    },
    send: async (to) => {
      const nic = await found
      return nic.send(frameTo(String(to), nic, 60, 0))
    },
    echo: async (count) => {
      const { nic, answers } = await opened
      for (let index = 0; index < Number(count); index += 1) {
        const { value } = await answers.next()
        const frame = (value as Uint8Array).slice()
        frame.copyWithin(0, 6, ADDRESSES_BYTES)
        frame.set(bytesOf(nic.address), 6)
        nic.send(frame)
      }
    },
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}

function frameTo(to: string, nic: GuestNic, length: number, seed: number): Uint8Array {
  const frame = Uint8Array.from({ length }, (_, at) => at * 3 + seed)
  frame.set([...bytesOf(to), ...bytesOf(nic.address), ...TYPE])
  return frame
}

function bytesOf(address: string): number[] {
  return address.split(':').map((digits) => Number.parseInt(digits, 16))
}
