import { Worker } from 'node:worker_threads'

import { DOORBELL_BYTES } from '@guestyard/ring'
import { expect, test } from 'vitest'

import type { EngineStats } from '@guestyard/engine'

interface Report {
  reason: string
  stats: EngineStats
}

function play(data: object): Promise<Report> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./ping-pong-worker.ts', import.meta.url), {
      workerData: data,
    })
    let report: Report
    worker.once('message', (message: Report) => {
      report = message
    })
    worker.once('error', reject)
    worker.once('exit', () => resolve(report))
  })
}

test.each([
  ['event-loop', false, 'event-loop', false],
  ['adaptive', false, 'adaptive', true],
  ['block', true, 'event-loop', false],
  ['adaptive', true, 'busy', true],
])(
  '%s (blocking: %s) and %s (blocking: %s) hand 3000 turns to and fro with no lost wake-up',
  async (first, firstBlocks, second, secondBlocks) => {
    const rounds = 3000
    const words = new SharedArrayBuffer(4)
    const [a, b] = [new SharedArrayBuffer(DOORBELL_BYTES), new SharedArrayBuffer(DOORBELL_BYTES)]
    const common = { words, rounds }
    const reports = await Promise.all([
      play({ ...common, own: a, peer: b, parity: 0, strategy: first, blocking: firstBlocks }),
      play({ ...common, own: b, peer: a, parity: 1, strategy: second, blocking: secondBlocks }),
    ])
    expect(new Int32Array(words)[0]).toBe(rounds)
    for (const { reason, stats } of reports) {
      expect(reason).toBe('doorbell-stopped')
      expect(stats.turns).toBe(rounds / 2)
      expect(stats.netRescues).toBe(0)
    }
  },
)
