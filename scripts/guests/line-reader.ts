/** Counts the lines of a stream, and those that are not in order. */

import type { Guest } from '@guestyard/child-partition'

import { LINES_STREAM } from './line-writer.ts'

export async function main(guest: Guest): Promise<void> {
  guest.expose({
    async read() {
      const decoder = new TextDecoder()
      let lines = 0
      let outOfOrder = 0
      let rest = ''
      for await (const chunk of guest.streams.receive(LINES_STREAM)) {
        const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
        rest = parts.pop() ?? ''
        for (const part of parts) {
          if (part !== `line ${lines}`) outOfOrder++
          lines++
        }
      }
      return { lines, outOfOrder }
    },
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
