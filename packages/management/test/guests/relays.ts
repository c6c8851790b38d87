import type { Guest } from '@guestyard/child-partition'

const STREAM = 7

/** Sends its argument as one byte over a stream whose id all such guests share; without one, tells what it receives there. */
export async function main(guest: Guest): Promise<void> {
  const byte = guest.args as number | null
  const received = byte === null ? receive(guest) : send(guest, byte)
  guest.expose({ received: () => received })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}

async function send(guest: Guest, byte: number): Promise<null> {
  const stream = await guest.streams.send(STREAM)
  await stream.write(Uint8Array.of(byte))
  await stream.end()
  return null
}

async function receive(guest: Guest): Promise<number[] | 'refused'> {
  const bytes: number[] = []
  try {
    for await (const chunk of guest.streams.receive(STREAM)) bytes.push(...chunk)
    return bytes
  } catch {
    return 'refused'
  }
}
