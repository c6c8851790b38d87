/** Takes a stream from another guest and says what arrived: the receiving machine of `npm start`. */

import { createHash } from 'node:crypto'

import type { Guest } from '@guestyard/child-partition'

import type { StreamSummary } from './file-sender.ts'

export interface ReceiveRequest {
  readonly streamId: number
}

export async function main(guest: Guest): Promise<void> {
  guest.expose({ receive: (request) => receive(guest, request as ReceiveRequest) })
  if (guest.signal.aborted) return
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function receive(guest: Guest, { streamId }: ReceiveRequest): Promise<StreamSummary> {
  const startedMs = performance.now()
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of guest.streams.receive(streamId)) {
    hash.update(chunk)
    bytes += chunk.byteLength
  }
  return { bytes, sha256: hash.digest('hex'), seconds: (performance.now() - startedMs) / 1000 }
}
