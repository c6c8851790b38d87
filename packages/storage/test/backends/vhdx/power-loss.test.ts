import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, expect, test } from 'vitest'

import { noQemuImg, qemuImg } from '../../support/qemu-img.ts'
import { writeSparse } from '../../support/sparse-on-host.ts'
import type { SparseBytes } from '../../support/sparse-file.ts'
import { losePower, type PowerLossOptions } from '../../support/vhdx-power-loss.ts'

const SEED = Number(process.env['FC_SEED'] ?? 1)
/** Longer runs: `npm run nightly:vhdx`. */
const STEPS = 50

const folder = mkdtempSync(join(tmpdir(), 'guestyard-power-'))
afterAll(() => rmSync(folder, { recursive: true }))

const kinds: [PowerLossOptions['kind'], boolean][] = [
  ['dynamic', false],
  ['dynamic', true],
  ['fixed', true],
  ['differencing', true],
  ['growing', true],
]

const found: SparseBytes[] = []

for (const [kind, slowSyncs] of kinds) {
  const how = slowSyncs ? 'while syncs are under way' : 'between syncs'
  test(`a ${kind} image loses nothing that was flushed when the power goes ${how}`, () => {
    const onFound = (bytes: SparseBytes): void => {
      if (kind !== 'differencing') found.push(bytes)
    }
    const cuts = losePower({ seed: SEED, steps: STEPS, kind, slowSyncs, onFound })
    // How many there are is the seed's: some syncs have nothing to write. Fewer than this would show nothing.
    expect(cuts).toBeGreaterThan(STEPS / 2)
  })
}

test.skipIf(noQemuImg !== undefined)('QEMU finds no error in what a power loss leaves', () => {
  for (const [index, bytes] of found.slice(0, 4).entries()) {
    const path = join(folder, `${index}.vhdx`)
    writeSparse(path, bytes)
    // With -r it may replay the log, which it refuses to do on a file that is only read.
    expect(qemuImg('check', '-r', 'all', '-f', 'vhdx', path)).toContain('No errors')
  }
})
