/**
 * A scenario to copy from: one guest makes numbered lines and streams them through the root to another,
 * which counts them; then the channels are loaded, and bounds decide how the run ends.
 *
 *     guestyard run scripts/two-guests.ts --report out.html
 *     guestyard run scripts/two-guests.ts --engine virtual --seed 7 --trace out.trace
 *
 * In threads the bounds are loose, since machines differ. In virtual time work costs what is declared, on any machine: the bounds
 * are close, and a change that makes a packet cost more work breaks them.
 */

import { defineScenario } from '@guestyard/scenario'
import type { ScenarioDefinition, VmDefinition } from '@guestyard/scenario'

import { sayHowToRun } from './scenario-file.ts'

const LINES = 200_000

/** How long is measured, and what must hold: packets a second at 64 B, and the median round trip. */
const BOUNDS = {
  threads: { warmUp: '200 ms', measured: '300 ms', packetsPerSecond: 100_000, roundTripNs: 1e6 },
  virtual: { warmUp: '1 ms', measured: '20 ms', packetsPerSecond: 4_000_000, roundTripNs: 2_000 },
} as const

const scenario: ScenarioDefinition<{ readonly [Name in 'writer' | 'reader']: VmDefinition }> =
  defineScenario({
    name: 'two guests',
    host: { logicalProcessors: 2 },
    vms: {
      writer: { memory: '64 MiB', guest: './guests/line-writer.ts', args: { lines: LINES } },
      reader: { memory: '64 MiB', guest: './guests/line-reader.ts' },
    },
    async run({ vms, load, expect, log, engine }) {
      const bounds = BOUNDS[engine]
      await vms.all.started()
      log('both guests are up')

      const [written, read] = await Promise.all([vms.writer.call('write'), vms.reader.call('read')])
      expect(written, 'lines written').toBe(LINES)
      expect(read, 'lines read, in order').toEqual({ lines: LINES, outOfOrder: 0 })
      log(`${LINES} lines went from writer to reader`)

      const [small] = await load.sweep(vms.writer, {
        payloads: [64, '1 KiB', '16 KiB'],
        warmUp: bounds.warmUp,
        duration: bounds.measured,
        repeats: 2,
      })
      expect(small?.packetsPerSecond, 'packets a second at 64 B').toBeGreaterThan(
        bounds.packetsPerSecond,
      )

      const echo = await load.channel(vms.reader, {
        direction: 'echo',
        warmUp: bounds.warmUp,
        duration: bounds.measured,
      })
      expect(echo.latency?.p50Ns, 'round trip p50, ns').toBeLessThan(bounds.roundTripNs)
      expect(echo.sequenceErrors, 'packets lost or out of order').toBe(0)
    },
  })

export default scenario

if (import.meta.main) sayHowToRun('two-guests')
