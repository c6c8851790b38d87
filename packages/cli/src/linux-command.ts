/** `guestyard linux`: Debian's stock kernel as a guest, with its console or for a script. */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'

import { Command, Option } from 'commander'

import type { Host, Vm, VmExit } from '@guestyard/management'
import { InputError, parseByteSize } from '@guestyard/scenario'
import { ImageError } from '@guestyard/storage'
import { BootError } from '@guestyard/x86-partition'
import { linuxCacheFolder, readManifest } from '@guestyard/x86-partition/node'

import type { CommandOutput } from './command-output.ts'
import { interruptible } from './interrupt.ts'
import { checkWritable, logOptions } from './output-files.ts'
import { LinuxConsole } from './linux-console.ts'
import { SWITCH, networkHost, networkOf, type LinuxNetwork } from './linux-network.ts'
import { recordLinux, replayLinux } from './linux-session.ts'

interface LinuxFlags {
  readonly memory: string
  readonly append: string
  readonly disk: readonly string[]
  readonly generation: string
  readonly nic?: string
  readonly allow: readonly string[]
  readonly pcap?: string
  readonly folder?: string
  readonly script?: string
  readonly save?: string
  readonly restore?: string
  readonly record?: string
  readonly replay?: string
  readonly log?: string
}

interface LinuxJob {
  readonly memoryBytes: number
  readonly append: string
  /** Paths of images, in the order in which the guest finds them. */
  readonly disks: readonly string[]
  readonly generation: 1 | 2
  readonly network: LinuxNetwork | null
  readonly folder: string
  /** Text of the script; null: the console. */
  readonly script: string | null
  /** Paths of saved machines: what it goes on from, and what it becomes after the script; null: it boots, and is turned off. */
  readonly restore: string | null
  readonly save: string | null
  readonly log: string | undefined
}

export function linuxCommand(output: CommandOutput, done: (exitCode: number) => void): Command {
  return new Command('linux')
    .description('Boot an unmodified Linux as a guest: its console here, or a script in it.')
    .option('--memory <size>', 'RAM of the guest: 64 MiB to 1 GiB', '256MiB')
    .option('--append <text>', "more for the kernel's command line", '')
    .option(
      '--disk <file>',
      'an image as its disk: VHDX, VHD or raw; more than once for more disks',
      (file: string, files: readonly string[]) => [...files, file],
      [],
    )
    .addOption(
      new Option(
        '--generation <number>',
        '2: no firmware, all disks on SCSI over VMBus; 1: a PC with SeaBIOS, the first disk on its emulated IDE controller, the others on SCSI',
      )
        .choices(['1', '2'])
        .default('2'),
    )
    .option(
      '--nic <kind>',
      'a network adapter: `private`, alone on its switch; or `nat`, which gives it an address and leads to whom --allow lists',
    )
    .option(
      '--allow <whom>',
      'whom the guest may reach through --nic nat: any, host (this machine, by 10.0.0.254), an address or a network; with :PORT or :FIRST-LAST behind it; more than once for more',
      (whom: string, all: readonly string[]) => [...all, whom],
      [],
    )
    .option('--pcap <file>', 'every frame of its adapter, as pcapng for Wireshark')
    .option(
      '--script <file>',
      'run this shell script in the guest, print what it prints and nothing else, and exit with its code; - for standard input',
    )
    .option(
      '--save <file>',
      'when the script is done, save the machine to this file instead of turning it off',
    )
    .option(
      '--restore <file>',
      'go on from a saved machine instead of booting: with the --memory and the --disk that it had, its images as they were left',
    )
    .option(
      '--record <file>',
      'keep the console session: the machine runs in virtual time, at the pace of real time, and what you type is written to this file',
    )
    .option(
      '--replay <file>',
      'run a kept session again, with its memory and its --append: the same bytes; exits with 1 where they are not',
    )
    .option('--folder <path>', 'where the fetched guest is, when not in the cache')
    .option('--log <file>', "write the host's log to a file (JSON lines)")
    .addHelpText('after', LINUX_HELP)
    .action(async (flags: LinuxFlags) => {
      checkSession(flags)
      checkSaved(flags)
      const job = await readFlags(flags)
      const { record, replay } = flags
      done(
        await interruptible((signal) => {
          if (record !== undefined) return recordLinux({ ...job, path: record }, output, signal)
          if (replay !== undefined) return replayLinux({ ...job, path: replay }, output, signal)
          return runLinux(job, output, signal)
        }),
      )
    })
}

const LINUX_HELP = `
The guest has to be fetched once: guestyard guest fetch linux

Examples:
  guestyard linux
  guestyard disk create data.vhdx --size 1GiB && guestyard linux --disk data.vhdx
  echo 'dmesg | grep -i hyper' | guestyard linux --script -
  guestyard linux --script check.sh --memory 128MiB > out.txt
  guestyard linux --generation 1 --disk data.vhdx
  echo 'wget -q -O - http://10.0.0.254:8080/' | guestyard linux --nic nat --allow host:8080 --script -
  guestyard linux --script setup.sh --save ready.vm && guestyard linux --restore ready.vm --script check.sh
  guestyard linux --record bug.session; guestyard linux --replay bug.session`

/** A session is all there is to it: what it does not keep can't be part of it. */
function checkSession(flags: LinuxFlags): void {
  const flag = flags.record === undefined ? '--replay' : '--record'
  if (flags.record === undefined && flags.replay === undefined) return
  const others = [
    ['--replay', flag === '--record' && flags.replay !== undefined],
    ['--script', flags.script !== undefined],
    ['--save', flags.save !== undefined],
    ['--restore', flags.restore !== undefined],
    ['--disk', flags.disk.length > 0],
    ['--generation 1', flags.generation === '1'],
    ['--nic', flags.nic !== undefined],
    ['--log', flags.log !== undefined],
  ] as const
  for (const [other, isGiven] of others) {
    if (isGiven) throw new InputError(flag, `goes without ${other}`)
  }
}

/** What no saved machine has is said before one boots. */
function checkSaved(flags: LinuxFlags): void {
  const flag = flags.save === undefined ? '--restore' : '--save'
  if (flags.save === undefined && flags.restore === undefined) return
  if (flags.script === undefined) throw new InputError(flag, 'goes with --script')
  if (flags.nic !== undefined) throw new InputError(flag, 'goes without --nic')
  if (flags.generation === '1') throw new InputError(flag, 'goes without --generation 1')
  if (flags.save !== undefined) checkWritable(flags.save, '--save')
}

async function readFlags(flags: LinuxFlags): Promise<LinuxJob> {
  const network = networkOf(flags)
  const memory = parseByteSize(flags.memory)
  if (!memory.ok) throw new InputError('--memory', memory.problem)
  const disks = await soundImages(flags.disk)
  const folder = flags.folder ?? linuxCacheFolder()
  try {
    if (readManifest(folder) === null) {
      throw new BootError(`no Linux guest in ${folder}: run \`guestyard guest fetch linux\` first`)
    }
  } catch (error) {
    throw asInputError(error)
  }
  return {
    memoryBytes: memory.value,
    append: flags.append,
    disks,
    generation: flags.generation === '1' ? 1 : 2,
    network,
    folder,
    script: await scriptOf(flags.script),
    restore: flags.restore ?? null,
    save: flags.save ?? null,
    log: flags.log,
  }
}

/** What is wrong with an image is said before anything boots. */
async function soundImages(paths: readonly string[]): Promise<readonly string[]> {
  if (paths.length === 0) return paths
  const { imageInfo } = await import('@guestyard/storage/file')
  for (const path of paths) {
    try {
      const { parentProblem } = imageInfo(path)
      if (parentProblem !== null) throw new InputError('--disk', `${path}: ${parentProblem}`)
    } catch (error) {
      throw error instanceof ImageError ? new InputError('--disk', error.message) : error
    }
  }
  return paths
}

async function scriptOf(path: string | undefined): Promise<string | null> {
  if (path === undefined) return null
  if (path === '-') return text(process.stdin)
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new InputError('--script', `cannot read ${path}: ${messageOf(error)}`)
  }
}

/** The machine ended before it had done what was asked of it. */
export class MachineEnded extends Error {
  override readonly name = 'MachineEnded'

  constructor({ reason, detail }: VmExit) {
    super(`the machine ended (${reason}): ${detail.split('\n', 1)[0]}`)
  }
}

async function runLinux(
  job: LinuxJob,
  output: CommandOutput,
  signal: AbortSignal,
): Promise<number> {
  const log = logOptions(job.log === undefined ? {} : { log: job.log })
  const host = await networkHost(job.network, log)
  try {
    const vm = makeVm(host, job)
    const onAbort = (): void => void vm.turnOff()
    signal.addEventListener('abort', onAbort, { once: true })
    const code = await (job.script === null
      ? useConsole(vm, output)
      : useScript(vm, job, job.script, output))
    signal.throwIfAborted()
    return code
  } catch (error) {
    // What was interrupted ends in whatever way it was interrupted.
    signal.throwIfAborted()
    const exit = host.vms[0]?.lastExit ?? null
    if (error instanceof InputError) throw error
    throw exit === null ? error : new MachineEnded(exit)
  } finally {
    await host.close()
  }
}

const IDE_MASTER = { controllerType: 'ide', controllerNumber: 0, controllerLocation: 0 } as const

function makeVm(host: Host, job: LinuxJob): Vm {
  const { memoryBytes, folder, network, script } = job
  const append = network?.isNat === true ? `${job.append} guestyard.dhcp`.trim() : job.append
  const nics = network === null ? [] : [{ switch: SWITCH }]
  const disks = job.disks.map((file, index) =>
    index === 0 && job.generation === 1 ? { file, ...IDE_MASTER } : { file },
  )
  try {
    const linux = { folder, append, shell: script === null, generation: job.generation }
    return host.createVm({ name: 'linux', memoryBytes, linux, disks, nics })
  } catch (error) {
    throw asInputError(error)
  }
}

async function useScript(
  vm: Vm,
  { restore, save }: Pick<LinuxJob, 'restore' | 'save'>,
  script: string,
  output: CommandOutput,
): Promise<number> {
  if (restore === null) await vm.start()
  else await goOn(vm, restore)
  const { exitCode, output: printed, isCut } = await vm.exec(script)
  if (!output.stdout.write(printed)) await once(output.stdout, 'drain')
  if (isCut) output.stderr.write('guestyard: the script printed more than is kept; it was cut\n')
  if (save === null) await vm.stop()
  else await keep(vm, save)
  return exitCode
}

async function goOn(vm: Vm, file: string): Promise<void> {
  try {
    await vm.restore(file)
  } catch (error) {
    const { reason, detail } = vm.lastExit ?? {}
    // What is wrong with the file, or with its disks.
    if (reason !== 'start-failed' || detail === undefined) throw error
    throw new InputError('--restore', detail.split('\n', 1)[0] ?? '')
  }
}

async function keep(vm: Vm, file: string): Promise<void> {
  try {
    await vm.save(file)
  } catch (error) {
    throw new InputError('--save', messageOf(error).split('\n', 1)[0] ?? '')
  }
}

async function useConsole(vm: Vm, output: CommandOutput): Promise<number> {
  output.stderr.write('guestyard: booting Linux; Ctrl-] ends the machine, `exit` turns it off\n')
  const console = new LinuxConsole(vm, process.stdin, output.stdout)
  console.open()
  try {
    await vm.start()
    await console.run()
  } catch (error) {
    if (!console.isLeft) throw error
  } finally {
    console.dispose()
  }
  if (console.isLeft) return 0
  const exit = await vm.exit
  if (exit.reason === 'exited' || exit.reason === 'turned-off') return 0
  throw new MachineEnded(exit)
}

/** What settings of the VM are called here. */
const FLAGS: ReadonlyMap<string, string> = new Map([
  ['memoryBytes', '--memory'],
  ['linux.append', '--append'],
  ['disks', '--disk'],
])

/** What the caller can put right is told in one line. */
export function asInputError(error: unknown): unknown {
  if (!(error instanceof BootError || error instanceof RangeError)) return error
  const [, setting = '', problem] = /^VM "linux": ([\w.]+): (.*)$/s.exec(error.message) ?? []
  const flag = FLAGS.get(setting)
  if (flag !== undefined && problem !== undefined) return new InputError(flag, problem)
  const [where = '', ...rest] = error.message.split(': ')
  return rest.length === 0
    ? new InputError('linux', error.message)
    : new InputError(where, rest.join(': '))
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
