/** Streams a file guest → root → guest, and compares what was on disk, sent and received. */

import { createHash } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'

import { formatBytes } from '@guestyard/scenario'
import type { Progress } from '@guestyard/scenario'

import type { StreamSummary } from '../guests/file-sender.ts'
import { abortable } from '../script-run.ts'
import type { Machine } from './boot.ts'

export interface FileStream {
  readonly path: string
  readonly bytes: number
  readonly seconds: number
  readonly bytesPerSecond: number
  readonly sha256: { readonly onDisk: string; readonly sent: string; readonly received: string }
  readonly equal: boolean
}

const STREAM_ID = 1

export async function streamFile(
  machine: Machine,
  path: string,
  show: Progress,
  signal: AbortSignal,
): Promise<FileStream> {
  const { sender, receiver } = machine
  signal.throwIfAborted()
  const { size } = statSync(path)
  show.line(`Streaming ${path} (${formatBytes(size)}): ${sender.name} → root → ${receiver.name}`)
  show.update('  streaming')
  const startedMs = performance.now()
  const [sent, received] = (await abortable(
    Promise.all([
      sender.call('send', { path, streamId: STREAM_ID }),
      receiver.call('receive', { streamId: STREAM_ID }),
    ]),
    signal,
  )) as [StreamSummary, StreamSummary]
  const seconds = (performance.now() - startedMs) / 1000
  show.update('  hashing the file on disk')
  const onDisk = await sha256Of(path)
  const equal = onDisk === sent.sha256 && onDisk === received.sha256 && received.bytes === size
  const bytesPerSecond = received.bytes / seconds
  show.line(`  SHA-256 on disk   ${onDisk}`)
  show.line(`          sent      ${sent.sha256}`)
  show.line(`          received  ${received.sha256}`)
  show.line(
    `  ${equal ? 'equal' : 'DIFFERENT'}: ${formatBytes(received.bytes)} in ${seconds.toFixed(2)} s, ` +
      `${formatBytes(bytesPerSecond)}/s with hashing at both ends\n`,
  )
  const sha256 = { onDisk, sent: sent.sha256, received: received.sha256 }
  return { path, bytes: received.bytes, seconds, bytesPerSecond, sha256, equal }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer)
  }
  return hash.digest('hex')
}
