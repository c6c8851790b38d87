import type { Guest, KeyEvent } from '@guestyard/child-partition'

/** Reports the first keys typed on its synthetic keyboard. */
export async function main(guest: Guest): Promise<void> {
  const keys: KeyEvent[] = []
  for await (const key of guest.keyboard) {
    keys.push(key)
    if (keys.length === 3) break
  }
  guest.report(keys)
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}
