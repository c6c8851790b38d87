/** `guestyard disk`: images are made, looked at, and worked on. */

import { extname } from 'node:path'
import { setImmediate } from 'node:timers/promises'

import { Command, Option } from 'commander'

import { InputError, createProgress, parseByteSize } from '@guestyard/scenario'
import { ImageError } from '@guestyard/storage'
import type * as ImagesDoor from '@guestyard/storage/file'
import type { CreateImageOptions, FileJob, ImageFormat } from '@guestyard/storage/file'

import type { CommandOutput } from './command-output.ts'
import { DiskError, checkLines, infoLines, jsonLine } from './disk-report.ts'
import { interruptible } from './interrupt.ts'

// Loaded only where a disk is worked on: no other command has a use for image formats.
type Images = typeof ImagesDoor

interface JsonFlag {
  readonly json?: boolean
}
interface ReplaceFlags extends JsonFlag {
  readonly force?: boolean
}
interface CreateFlags extends ReplaceFlags {
  readonly size?: string
  readonly format?: ImageFormat
  readonly fixed?: boolean
  readonly parent?: string
  readonly blockSize?: string
  readonly sector?: keyof typeof SECTORS
}
interface InfoFlags extends JsonFlag {
  readonly format?: ImageFormat
}
interface ConvertFlags extends ReplaceFlags {
  readonly fromFormat?: ImageFormat
  readonly format?: ImageFormat
  readonly fixed?: boolean
  readonly blockSize?: string
}
interface ResizeFlags extends InfoFlags {
  readonly size: string
  readonly shrink?: boolean
}

type Done = (exitCode: number) => void

const EXIT_FAILED = 1

export function diskCommand(output: CommandOutput, done: Done): Command {
  const command = new Command('disk')
    .description('Make disk images, look at them, and work on them: VHDX, VHD and raw.')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)
  for (const sub of [
    createCommand(output),
    infoCommand(output),
    checkCommand(output, done),
    resizeCommand(output),
    convertCommand(output),
    mergeCommand(output),
    compactCommand(output),
  ]) {
    command.addCommand(sub)
  }
  return command
}

const EXAMPLES = `
Examples:
  guestyard disk create db.vhdx --size 1GiB
  guestyard disk create db-test.vhdx --parent db.vhdx
  guestyard disk info db-test.vhdx
  guestyard disk convert db.vhdx db.img --format raw
  guestyard disk resize db.vhdx --size 2GiB
  guestyard disk merge db-test.vhdx
  guestyard disk compact db.vhdx
  guestyard disk check db.vhdx --json

Sizes are a number and B, KiB, MiB, GiB or TiB. A new image gets its name when it is whole; an image that a machine uses is refused.

Exit codes: 0 done, 1 damage was found or the work failed, 2 bad input (nothing done), 130 interrupted (the images are whole).`

function createCommand(output: CommandOutput): Command {
  return withReplace(new Command('create'))
    .description('Make a new image of zeros, or a child of another image.')
    .addHelpText(
      'after',
      examples(
        'guestyard disk create db.vhdx --size 1GiB',
        'guestyard disk create old.vhd --size 20GiB --fixed',
        'guestyard disk create test.vhdx --parent db.vhdx',
      ),
    )
    .argument('<file>', 'the image')
    .option('--size <size>', "size of the disk; with --parent the parent's when left out")
    .addOption(formatOption("by the file's name when left out, else vhdx"))
    .option('--fixed', 'all of the disk is in the file; else the file grows as the disk is written')
    .option('--parent <file>', 'what is not written is read from this VHDX image')
    .option('--block-size <size>', 'what the file grows by: vhdx 1MiB..256MiB, vhd 512KiB..2MiB')
    .addOption(
      new Option(
        '--sector <kind>',
        'the blocks that a guest sees; vhdx only, 512e when left out',
      ).choices(Object.keys(SECTORS)),
    )
    .action(async (path: string, flags: CreateFlags) => {
      const options = createOptions(path, flags)
      // Also what is done at once is heard to its end: a signal that nobody hears would leave half of it.
      const info = await interruptible(() =>
        begun((images) => {
          images.createImage(path, options)
          return images.imageInfo(path)
        }),
      )
      output.stdout.write(flags.json === true ? jsonLine(info) : infoLines(info))
    })
}

function createOptions(path: string, flags: CreateFlags): CreateImageOptions {
  if (flags.size === undefined && flags.parent === undefined) {
    throw new InputError('--size', 'how large shall the disk be?')
  }
  const format = flags.format ?? formatByName(path)
  if (flags.sector !== undefined && format !== 'vhdx') {
    throw new InputError('--sector', `a ${format} image does not say what its blocks are`)
  }
  if (flags.sector !== undefined && flags.parent !== undefined) {
    throw new InputError('--sector', "a child has its parent's blocks")
  }
  const sizeBytes = optionalSize('--size', flags.size)
  const blockBytes = optionalSize('--block-size', flags.blockSize)
  return {
    format,
    fixed: flags.fixed ?? false,
    replace: flags.force ?? false,
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    ...(blockBytes === undefined ? {} : { blockBytes }),
    ...(flags.parent === undefined ? {} : { parent: flags.parent }),
    ...(flags.sector === undefined ? {} : SECTORS[flags.sector]),
  }
}

function infoCommand(output: CommandOutput): Command {
  return withJson(new Command('info'))
    .description('Say what an image is.')
    .addHelpText(
      'after',
      examples('guestyard disk info db.vhdx', 'guestyard disk info db.vhdx --json | jq .sizeBytes'),
    )
    .argument('<file>', 'the image')
    .addOption(formatOption(WHEN_NOT_SAID))
    .action(async (path: string, flags: InfoFlags) => {
      const info = await begun((images) => images.imageInfo(path, flags.format))
      output.stdout.write(flags.json === true ? jsonLine(info) : infoLines(info))
    })
}

function checkCommand(output: CommandOutput, done: Done): Command {
  return withJson(new Command('check'))
    .description('Look for damage. Nothing is written.')
    .addHelpText('after', examples('guestyard disk check db.vhdx'))
    .argument('<file>', 'the image')
    .action(async (path: string, flags: JsonFlag) => {
      const check = await begun((images) => images.checkImage(path))
      output.stdout.write(flags.json === true ? jsonLine(check) : checkLines(check))
      if (check.findings.some((finding) => finding.severity === 'error')) done(EXIT_FAILED)
    })
}

function resizeCommand(output: CommandOutput): Command {
  return withJson(new Command('resize'))
    .description('Make the disk of an image larger. What is new is zeros.')
    .addHelpText(
      'after',
      examples(
        'guestyard disk resize db.vhdx --size 2GiB',
        'guestyard disk resize db.img --size 512MiB --shrink',
      ),
    )
    .argument('<file>', 'the image')
    .requiredOption('--size <size>', 'the new size of the disk')
    .addOption(formatOption(WHEN_NOT_SAID))
    .option('--shrink', 'a raw image may get smaller: what is beyond its new end is lost')
    .action((path: string, flags: ResizeFlags) =>
      work('resize', flags, output, (images) =>
        images.resizeImage(path, size('--size', flags.size), {
          shrink: flags.shrink ?? false,
          ...(flags.format === undefined ? {} : { format: flags.format }),
        }),
      ),
    )
}

function convertCommand(output: CommandOutput): Command {
  return withReplace(new Command('convert'))
    .description("Copy a disk, its parents' blocks included, to a new image. Zeros take no room.")
    .addHelpText(
      'after',
      examples(
        'guestyard disk convert db.vhdx db.img',
        'guestyard disk convert db.img db.vhd --fixed --force',
      ),
    )
    .argument('<from>', 'the image')
    .argument('<to>', 'the new image')
    .addOption(formatOption(WHEN_NOT_SAID, '--from-format'))
    .addOption(formatOption("by the new file's name when left out, else vhdx"))
    .option('--fixed', 'all of the disk is in the new file')
    .option('--block-size <size>', 'what the new file grows by')
    .action((from: string, to: string, flags: ConvertFlags) => {
      const format = flags.format ?? formatByName(to)
      return work('convert', { ...flags, format }, output, (images) => {
        const blockBytes = optionalSize('--block-size', flags.blockSize)
        return images.convertImage(from, to, {
          format,
          ...(flags.fromFormat === undefined ? {} : { fromFormat: flags.fromFormat }),
          ...(blockBytes === undefined ? {} : { blockBytes }),
          fixed: flags.fixed ?? false,
          replace: flags.force ?? false,
        })
      })
    })
}

function mergeCommand(output: CommandOutput): Command {
  return withJson(new Command('merge'))
    .description('Write what a differencing image holds into its parent, and remove it.')
    .addHelpText('after', examples('guestyard disk merge test.vhdx'))
    .argument('<child>', 'the differencing image; no machine may use its parent')
    .action((path: string, flags: JsonFlag) =>
      work('merge', flags, output, (images) => images.mergeImage(path)),
    )
}

function compactCommand(output: CommandOutput): Command {
  return withJson(new Command('compact'))
    .description('Give back what a dynamic image keeps for blocks of zeros.')
    .addHelpText('after', examples('guestyard disk compact db.vhdx'))
    .argument('<file>', 'the image')
    .action((path: string, flags: JsonFlag) =>
      work('compact', flags, output, (images) => images.compactImage(path)),
    )
}

/** What is wrong before anything was done is bad input. */
async function begun<T>(begin: (images: Images) => T): Promise<T> {
  const images = await import('@guestyard/storage/file')
  try {
    return begin(images)
  } catch (error) {
    if (!(error instanceof ImageError)) throw error
    throw new InputError(error.file, error.message.slice(error.file.length + 2))
  }
}

/** Drives a job to its end, a step at a time, and prints what the image is then. */
async function work(
  name: string,
  flags: InfoFlags,
  output: CommandOutput,
  begin: (images: Images) => FileJob,
): Promise<void> {
  const path = await interruptible(async (signal) => {
    const job = await begun(begin)
    const progress = createProgress(output.stderr)
    try {
      do {
        progress.update(`${name} ${job.path}: ${percent(job)}`)
        // Ctrl-C is heard between two steps.
        await setImmediate()
        signal.throwIfAborted()
      } while (!job.step())
      return job.path
    } catch (error) {
      job.abandon()
      throw error instanceof ImageError ? new DiskError(error.message) : error
    } finally {
      progress.end()
    }
  })
  const info = await begun((images) => images.imageInfo(path, flags.format))
  output.stdout.write(flags.json === true ? jsonLine(info) : infoLines(info))
}

function percent(job: FileJob): string {
  if (job.totalBytes === 0) return '0 %'
  return `${Math.floor((job.doneBytes / job.totalBytes) * 100)} %`
}

function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`
}

function withJson(command: Command): Command {
  return command.option('--json', 'print one JSON object')
}

function withReplace(command: Command): Command {
  return withJson(command).option('--force', 'replace a file of that name')
}

/** A raw disk's guest may have written what looks like an image, with parents and all. */
const WHEN_NOT_SAID =
  'of the image; by its content when left out: say raw where its guest is not trusted'

function formatOption(when: string, flag = '--format'): Option {
  return new Option(`${flag} <format>`, when).choices(['vhdx', 'vhd', 'raw'])
}

const FORMATS_BY_NAME: ReadonlyMap<string, ImageFormat> = new Map([
  ['.vhd', 'vhd'],
  ['.vpc', 'vhd'],
  ['.img', 'raw'],
  ['.raw', 'raw'],
])

function formatByName(path: string): ImageFormat {
  return FORMATS_BY_NAME.get(extname(path).toLowerCase()) ?? 'vhdx'
}

const SECTORS = {
  '512': { logicalBlockBytes: 512, physicalBlockBytes: 512 },
  '512e': { logicalBlockBytes: 512, physicalBlockBytes: 4096 },
  '4096': { logicalBlockBytes: 4096, physicalBlockBytes: 4096 },
} as const

function size(flag: string, text: string): number {
  const parsed = parseByteSize(text)
  if (!parsed.ok) throw new InputError(flag, parsed.problem)
  return parsed.value
}

function optionalSize(flag: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : size(flag, text)
}
