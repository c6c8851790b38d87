/**
 * `npm start`: a host and two guests come up, a real file moves from one guest through the root to the
 * other, and the channel is measured beside what Node offers. Under a minute on two processors.
 */

import { writeFile } from 'node:fs/promises'

import { createProgress, describeEnvironment, readEnvironment } from '@guestyard/scenario'
import type { Progress } from '@guestyard/scenario'

import { bootMachine } from './main/boot.ts'
import { readMainFlags } from './main/flags.ts'
import type { MainFlags } from './main/flags.ts'
import { streamFile } from './main/file-stream.ts'
import { measureRoundTrips, measureThroughput } from './main/measure.ts'
import { roundTripLines, throughputLines } from './main/tables.ts'
import { runScript } from './script-run.ts'

await runScript(
  () => readMainFlags(process.argv.slice(2)),
  (flags, signal) => firstLight(flags, createProgress(process.stdout), signal),
)

async function firstLight(flags: MainFlags, show: Progress, signal: AbortSignal): Promise<boolean> {
  const startedMs = performance.now()
  const environment = await readEnvironment()
  show.line(`Guestyard on ${describeEnvironment(environment)}\n`)
  const machine = await bootMachine(show, signal)
  try {
    const file = await streamFile(machine, flags.file, show, signal)
    const throughput = await measureThroughput(machine.sender, flags.quick, show, signal)
    show.line(throughputLines(throughput).join('\n'))
    const roundTrips = await measureRoundTrips(machine.sender, flags.quick, show, signal)
    show.line(roundTripLines(roundTrips).join('\n'))
    const errors = throughput.reduce((sum, size) => sum + size.errors, 0) + roundTrips.errors
    const passed = file.equal && errors === 0
    if (flags.json !== null) {
      const boot = machine.boot
      const found = { environment, boot, file, throughput, roundTrips, passed }
      await writeFile(flags.json, `${JSON.stringify(found, null, 2)}\n`)
    }
    if (errors > 0) show.line(`${errors} packets were lost or out of order`)
    return passed
  } finally {
    show.update('stopping')
    await machine.host.close()
    show.end()
    show.line(`Everything stopped after ${((performance.now() - startedMs) / 1000).toFixed(1)} s.`)
  }
}
