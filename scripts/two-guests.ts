/**
 * A scenario to copy from: one guest makes numbered lines and streams them through the root to another,
 * which counts them; then the channels are loaded, and bounds decide how the run ends.
 *
 *     guestyard run scripts/two-guests.ts --report out.html
 */

import { defineScenario } from '@guestyard/scenario'
import type { ScenarioDefinition, VmDefinition } from '@guestyard/scenario'

const LINES = 200_000

const scenario: ScenarioDefinition<{ readonly [Name in 'writer' | 'reader']: VmDefinition }> =
  defineScenario({
    name: 'two guests',
    host: { logicalProcessors: 2 },
    vms: {
      writer: { memory: '64 MiB', guest: './guests/line-writer.ts', args: { lines: LINES } },
      reader: { memory: '64 MiB', guest: './guests/line-reader.ts' },
    },
    async run({ vms, load, expect, log }) {
      await vms.all.started()
      log('both guests are up')

      const [written, read] = await Promise.all([vms.writer.call('write'), vms.reader.call('read')])
      expect(written, 'lines written').toBe(LINES)
      expect(read, 'lines read, in order').toEqual({ lines: LINES, outOfOrder: 0 })
      log(`${LINES} lines went from writer to reader`)

      const [small] = await load.sweep(vms.writer, {
        payloads: [64, '1 KiB', '16 KiB'],
        duration: '300 ms',
        repeats: 2,
      })
      expect(small?.packetsPerSecond, 'packets a second at 64 B').toBeGreaterThan(100_000)

      const echo = await load.channel(vms.reader, { direction: 'echo', duration: '300 ms' })
      expect(echo.latency?.p50Ns, 'round trip p50, ns').toBeLessThan(1e6)
      expect(echo.sequenceErrors, 'packets lost or out of order').toBe(0)
    },
  })

export default scenario
