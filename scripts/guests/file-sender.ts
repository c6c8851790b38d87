/** Streams files to another guest: the program of the sending machine in `npm start`. */

import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'

import type { Guest } from '@guestyard/child-partition'

export interface SendRequest {
  readonly path: string
  readonly streamId: number
}

/** What an end of a stream counted. */
export interface StreamSummary {
  readonly bytes: number
  readonly sha256: string
  readonly seconds: number
}

const CHUNK_BYTES = 256 * 1024

export async function main(guest: Guest): Promise<void> {
  guest.expose({ send: (request) => send(guest, request as SendRequest) })
  await stopped(guest.signal)
}

async function send(guest: Guest, { path, streamId }: SendRequest): Promise<StreamSummary> {
  const startedMs = performance.now()
  const hash = createHash('sha256')
  const chunk = new Uint8Array(CHUNK_BYTES)
  const file = await open(path)
  try {
    const stream = await guest.streams.send(streamId)
    let bytes = 0
    for (;;) {
      guest.signal.throwIfAborted()
      const { bytesRead } = await file.read(chunk)
      if (bytesRead === 0) break
      const filled = chunk.subarray(0, bytesRead)
      hash.update(filled)
      await stream.write(filled)
      bytes += bytesRead
    }
    await stream.end()
    return { bytes, sha256: hash.digest('hex'), seconds: (performance.now() - startedMs) / 1000 }
  } finally {
    await file.close()
  }
}

function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
