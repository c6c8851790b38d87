// The process that is killed: a host with one machine, whose guest writes batches. Arguments: what a cut says, as JSON.

import { startHost } from '@guestyard/management'

import type { VictimArguments } from './cut.ts'

const { disk, seed, firstBatch } = JSON.parse(process.argv[2]!) as VictimArguments

const host = await startHost({ log: { level: 'silent' } })
const vm = host.createVm({
  name: 'victim',
  memoryBytes: 8 * 2 ** 20,
  program: new URL('../guests/batch-writer.ts', import.meta.url),
  args: { seed, firstBatch },
  disks: [disk],
})
await vm.start()
const exit = await vm.exit
process.stderr.write(`${exit.reason}: ${exit.detail}\n`)
process.exitCode = 1
