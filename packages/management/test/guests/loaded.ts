import process from 'node:process'
import type { Guest } from '@guestyard/child-partition'

/** Parts of Node that weigh megabytes a thread: the type stripper, and the HTTP client with its event classes. */
const HEAVY = /amaro|undici/

/** Tells which heavy parts of Node its thread has loaded, and what it sees of its host's environment. */
export async function main(guest: Guest): Promise<void> {
  guest.expose({
    heavy: () => {
      const loaded: unknown = Reflect.get(process, 'moduleLoadList')
      return (loaded as string[]).filter((name) => HEAVY.test(name))
    },
    environment: () => Object.keys(process.env),
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}
