// One cut: a process with a machine at work is killed at a moment nobody chose, and the image it leaves is held against what it had told.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import type { DiskOptions } from '@guestyard/management'
import { openDisk } from '@guestyard/root-partition'
import type { DiskSource } from '@guestyard/root-partition/worker-protocol'
import { DiskRequest, DiskStatus, type Disk } from '@guestyard/storage'

import type { Oracle } from './work.ts'

export interface VictimArguments {
  readonly disk: DiskOptions
  readonly seed: number
  readonly firstBatch: number
}

export interface Cut extends VictimArguments {
  /** Batches that are told of before the kill. */
  readonly batches: number
  /** Milliseconds after that. */
  readonly afterMs: number
}

const VICTIM = fileURLToPath(new URL('victim-worker.ts', import.meta.url))
const CLOSE_POLLS_MAX = 1_000

/** The latest batch that the victim told of before it was killed. Rejects when it ended by itself. */
export async function killed(cut: Cut, signal?: AbortSignal): Promise<number> {
  const { disk, seed, firstBatch } = cut
  const victim = spawn(process.execPath, [VICTIM, JSON.stringify({ disk, seed, firstBatch })], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let told = ''
  let complaint = ''
  let isDue = false
  let isKilled = false
  const kill = (): void => {
    isKilled = true
    victim.kill('SIGKILL')
  }
  signal?.addEventListener('abort', kill)
  victim.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text))
  victim.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text
    if (isDue || told.split('\n').length <= cut.batches) return
    isDue = true
    setTimeout(kill, cut.afterMs)
  })
  await new Promise<void>((resolve) => victim.on('close', () => resolve()))
  signal?.removeEventListener('abort', kill)
  signal?.throwIfAborted()
  if (!isKilled) throw new Error(`the victim ended by itself: ${complaint}`)
  // A line that is not whole was not told.
  const lines = told.split('\n').slice(0, -1)
  return Number(lines.at(-1))
}

/** Opens what the victim left, and looks at every block. Throws for what may not be there, or does not open. */
export function checkImage(source: DiskSource, oracle: Oracle): void {
  const { disk } = openDisk(
    {
      controllerType: 'scsi',
      controllerNumber: 0,
      controllerLocation: 0,
      device: 'disk',
      source,
      readOnly: false,
      limits: null,
    },
    { flush: 'sync', wake: () => {}, clock: { nowMs: 0 } },
  )
  try {
    oracle.check((block, words) => readBlock(disk, block, words))
  } finally {
    disk.close()
    for (let polls = 0; !disk.closed && polls < CLOSE_POLLS_MAX; polls += 1) disk.poll(64)
  }
}

function readBlock(disk: Disk, block: number, words: Uint32Array): void {
  const request = new DiskRequest(1)
  request.block = block
  request.blockCount = 1
  request.data.beginBytes(new Uint8Array(words.buffer))
  request.data.add(0, words.byteLength)
  disk.submit(request)
  while (request.status === DiskStatus.PENDING) disk.poll(64)
  if (request.status !== DiskStatus.OK) throw new Error(`block ${block}: status ${request.status}`)
}
