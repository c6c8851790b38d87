// A process is killed in the middle of its guests' writes. A few cuts here; scripts/power-loss.ts makes a thousand.

import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'

import { checkImage, killed } from './cut.ts'
import { Oracle } from './work.ts'

const SIZE_BYTES = 16 * 2 ** 20

const folder = mkdtempSync(join(tmpdir(), 'guestyard-power-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test(
  'what a guest was told is flushed is in the image after its process was killed, and nothing that nobody wrote',
  { timeout: 60_000 },
  async () => {
    const path = join(folder, 'raw.img')
    writeFileSync(path, '')
    truncateSync(path, SIZE_BYTES)
    const seed = 5
    const oracle = new Oracle(seed, SIZE_BYTES / 512)
    for (const [batches, afterMs] of [
      [3, 0],
      [9, 2.5],
    ] as const) {
      const disk = { file: path, format: 'raw' as const }
      const firstBatch = oracle.nextBatch
      const told = await killed({ disk, seed, firstBatch, batches, afterMs })
      expect(told).toBeGreaterThanOrEqual(firstBatch + batches - 1)
      oracle.flushed(told)
      checkImage({ is: 'file', path, format: 'raw', create: null, blockBytes: 512 }, oracle)
    }
  },
)

test('an image without what was flushed is found out', () => {
  const oracle = new Oracle(5, SIZE_BYTES / 512)
  oracle.flushed(3)
  expect(() => oracle.check((_, words) => words.fill(0))).toThrow(/^block \d+: it is of batch 0; /)
})
