/** Writes numbered lines into a stream when the scenario says so. */

import type { Guest } from '@guestyard/child-partition'

/** Both guests of the scenario agree on it. */
export const LINES_STREAM = 7
const LINES_AT_ONCE = 4096

export async function main(guest: Guest): Promise<void> {
  const { lines } = guest.args as { readonly lines: number }
  guest.expose({
    async write() {
      const stream = await guest.streams.send(LINES_STREAM)
      const encoder = new TextEncoder()
      for (let first = 0; first < lines; first += LINES_AT_ONCE) {
        let text = ''
        for (let line = first; line < Math.min(lines, first + LINES_AT_ONCE); line++) {
          text += `line ${line}\n`
        }
        await stream.write(encoder.encode(text))
      }
      await stream.end()
      return lines
    },
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
