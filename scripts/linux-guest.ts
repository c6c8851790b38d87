/**
 * What an unmodified Linux costs as a guest: its boot, its idling, and what its own driver gets out of a disk over the bus. Real threads; the
 * guest has to be fetched first.
 */

import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startHost, type Host, type Vm } from '@guestyard/management'
import {
  alignTable,
  createProgress,
  describeEnvironment,
  readEnvironment,
  type Progress,
} from '@guestyard/scenario'

import { tableStream, writeJson } from './json-file.ts'
import { flagError, runScript } from './script-run.ts'

const HELP = `What an unmodified Linux costs as a guest: boot, idling, its disk.

  npx node scripts/linux-guest.ts [options]

  --json FILE   writes every figure with machine, Node, V8 and commit; - is standard output
  --help        this text

Example:
  npx guestyard guest fetch linux && npx node scripts/linux-guest.ts

Takes two minutes; nothing else should run beside it.
`

const DISK_BYTES = 64 * 2 ** 20
const IDLE_SECONDS = 10
/** After its last script, until it is as idle as it gets. */
const SETTLE_MS = 3_000
const SMALL_READS = 4_000
const LARGE_READS = 256
const LARGE_BYTES = 256 * 1024
/** What four boots at once may take, over what two take. */
const BOOTS_GOAL = 2.5

interface Figures {
  /** From asking for its thread to the guest serving commands, and the processor time of that. */
  readonly bootMs: number
  readonly bootCpuMs: number
  /** Share of one core, by the guest's thread alone. */
  readonly idlePercent: number
  /** Through hv_storvsc from a disk in the host's memory, one request at a time, past the guest's cache. */
  readonly reads4KiBPerSecond: number
  readonly reads256KiBBytesPerSecond: number
  readonly writes256KiBBytesPerSecond: number
  /** From asking for two machines, and for four, until all of them serve commands. */
  readonly bootsOfTwoMs: number
  readonly bootsOfFourMs: number
}

await runScript(
  () => readFlags(process.argv.slice(2)),
  async (json, signal) => {
    const out = tableStream(json.file)
    const progress = createProgress(process.stderr)
    const environment = await readEnvironment()
    out.write(`${describeEnvironment(environment)}\n`)
    try {
      const figures = await measure(signal, progress)
      progress.end()
      out.write(`${report(figures)}\n`)
      if (json.file !== null) {
        const when = new Date().toISOString()
        writeJson(json.file, { script: 'linux-guest', when, environment, figures })
      }
    } finally {
      progress.end()
    }
    return true
  },
)

function readFlags(args: string[]): { readonly file: string | null } | null {
  try {
    const { values } = parseArgs({
      args,
      options: { json: { type: 'string' }, help: { type: 'boolean' } },
    })
    if (values.help) {
      process.stdout.write(HELP)
      return null
    }
    return { file: values.json ?? null }
  } catch (error) {
    throw flagError(error)
  }
}

async function measure(signal: AbortSignal, progress: Progress): Promise<Figures> {
  const host = await startHost()
  try {
    const vm = host.createVm({ name: 'linux', linux: {}, disks: [{ memoryBytes: DISK_BYTES }] })
    signal.addEventListener('abort', () => void vm.turnOff(), { once: true })
    progress.update('booting')
    const { bootMs } = await vm.start()
    const bootCpuMs = await cpuMs(vm)
    progress.update(`idling for ${IDLE_SECONDS} seconds`)
    const idlePercent = await measureIdle(vm)
    progress.update('its disk')
    const alone = {
      bootMs,
      bootCpuMs,
      idlePercent,
      reads4KiBPerSecond:
        SMALL_READS / (await seconds(vm, dd('if=/dev/sda of=/dev/null', 4096, SMALL_READS))),
      reads256KiBBytesPerSecond: await bytesPerSecond(vm, 'if=/dev/sda of=/dev/null'),
      writes256KiBBytesPerSecond: await bytesPerSecond(vm, 'if=/dev/zero of=/dev/sda'),
    }
    await vm.stop()
    return { ...alone, ...(await measureBoots(host, signal, progress)) }
  } finally {
    await host.close()
  }
}

async function measureBoots(
  host: Host,
  signal: AbortSignal,
  progress: Progress,
): Promise<Pick<Figures, 'bootsOfTwoMs' | 'bootsOfFourMs'>> {
  const together = async (count: number): Promise<number> => {
    progress.update(`booting ${count} at once`)
    signal.throwIfAborted()
    const names = Array.from({ length: count }, (_, index) => `${count}-${index}`)
    const vms = names.map((name) => host.createVm({ name, linux: {} }))
    const fromMs = performance.now()
    await Promise.all(vms.map((vm) => vm.start()))
    const tookMs = performance.now() - fromMs
    await Promise.all(vms.map((vm) => vm.turnOff()))
    return tookMs
  }
  return { bootsOfTwoMs: await together(2), bootsOfFourMs: await together(4) }
}

async function measureIdle(vm: Vm): Promise<number> {
  // The last of its boot is over.
  await vm.exec('sleep 2')
  // It runs nothing at all meanwhile: a script for it is tens of milliseconds of a processor by itself.
  await setTimeout(SETTLE_MS)
  const [fromMs, cpuFromMs] = [performance.now(), await cpuMs(vm)]
  await setTimeout(IDLE_SECONDS * 1000)
  return ((await cpuMs(vm)) - cpuFromMs) / ((performance.now() - fromMs) / 100)
}

async function cpuMs(vm: Vm): Promise<number> {
  const { cpuMicroseconds } = await vm.inspectGuest()
  return cpuMicroseconds / 1000
}

function bytesPerSecond(vm: Vm, files: string): Promise<number> {
  return seconds(vm, dd(files, LARGE_BYTES, LARGE_READS)).then(
    (took) => (LARGE_READS * LARGE_BYTES) / took,
  )
}

function dd(files: string, blockBytes: number, count: number): string {
  const direct = files.includes('of=/dev/sda') ? 'oflag=direct' : 'iflag=direct'
  return `dd ${files} bs=${blockBytes} count=${count} ${direct} 2>/dev/null`
}

/** By the guest's own clock, the second of two runs. */
async function seconds(vm: Vm, command: string): Promise<number> {
  const { output } = await vm.exec(
    `${command}; read a _ </proc/uptime; ${command}; read b _ </proc/uptime; echo $a $b`,
  )
  const [from = 0, to = 0] = new TextDecoder().decode(output).trim().split(' ').map(Number)
  if (!(to > from)) throw new Error(`the guest says that ${command} took no time`)
  return to - from
}

function report(figures: Figures): string {
  const ratio = figures.bootsOfFourMs / figures.bootsOfTwoMs
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB/s`
  return [
    '',
    ...alignTable(
      ['an unmodified Linux', ''],
      [
        ['boot, to serving commands', `${Math.round(figures.bootMs)} ms`],
        ['processor time of its boot', `${Math.round(figures.bootCpuMs)} ms`],
        ['idle, of one core', `${figures.idlePercent.toFixed(2)} %`],
        ['4 KiB reads, one at a time', `${Math.round(figures.reads4KiBPerSecond)} /s`],
        ['256 KiB reads', mib(figures.reads256KiBBytesPerSecond)],
        ['256 KiB writes', mib(figures.writes256KiBBytesPerSecond)],
        ['two boots at once', `${Math.round(figures.bootsOfTwoMs)} ms`],
        ['four boots at once', `${Math.round(figures.bootsOfFourMs)} ms`],
        [
          'four over two',
          `${ratio.toFixed(2)}, at most ${BOOTS_GOAL}: ${ratio <= BOOTS_GOAL ? 'held' : 'MISSED'}`,
        ],
      ],
    ),
  ].join('\n')
}
