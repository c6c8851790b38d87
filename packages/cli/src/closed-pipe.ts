/** A reader that has seen enough, as `head` has, closes the pipe: what is written from then on is nobody's, and no error. */

import type { Writable } from 'node:stream'

/** From now on a closed pipe at the end of these streams is silence. Any other error of theirs is thrown, as it is without this. */
export function letReadersLeave(streams: readonly Writable[]): void {
  for (const stream of streams) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
}
