/** `guestyard linux --record` and `--replay`: the guest in virtual time, its console here or as it was. */

import { createHash, randomInt } from 'node:crypto'

import { ConsoleSession, InputError } from '@guestyard/scenario'
import { readManifest } from '@guestyard/x86-partition/node'

import type { CommandOutput } from './command-output.ts'
import { LinuxConsole } from './linux-console.ts'
import { ConsoleDigest, RecordingFile, readRecording } from './linux-recording.ts'
import type { RecordedEnd } from './linux-recording.ts'

const SEED_MAX = 2 ** 32

export interface RecordJob {
  readonly memoryBytes: number
  readonly append: string
  readonly folder: string
  /** The recording's file. */
  readonly path: string
}

/** A live session, at the pace of real time. Resolves with the exit code of the command. */
export async function recordLinux(
  { memoryBytes, append, folder, path }: RecordJob,
  output: CommandOutput,
  signal: AbortSignal,
): Promise<number> {
  const seed = randomInt(SEED_MAX)
  const file = new RecordingFile(path, { seed, memoryBytes, append, ...guestOf(folder) })
  const digest = new ConsoleDigest()
  const session = new ConsoleSession({
    ...{ seed, memoryBytes, append, folder },
    recorded: null,
    onInput: (input) => file.input(input),
  })
  const onAbort = (): void => void session.turnOff()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    output.stderr.write('guestyard: booting Linux; Ctrl-] ends the machine, `exit` turns it off\n')
    await session.started
    const console = new LinuxConsole(
      {
        readConsole: async () => {
          const bytes = await session.readConsole()
          if (bytes !== null) digest.add(bytes)
          return bytes
        },
        writeConsole: (bytes) => session.writeConsole(bytes),
        exec: (script) => session.exec(script),
        turnOff: () => session.turnOff(),
        exit: session.ended,
      },
      process.stdin,
      output.stdout,
    )
    try {
      await console.run()
    } finally {
      console.dispose()
    }
    file.end(digest.end(await session.ended))
    signal.throwIfAborted()
    return 0
  } catch (error) {
    // What was interrupted ends in whatever way it was interrupted.
    signal.throwIfAborted()
    throw error
  } finally {
    file.close()
    await session.close()
  }
}

/** A session once more, as fast as it goes: 0 when its console said the same and it ended at the same time, else 1. */
export async function replayLinux(
  { folder, path }: Pick<RecordJob, 'folder' | 'path'>,
  output: CommandOutput,
  signal: AbortSignal,
): Promise<number> {
  const { settings, inputs, end } = readRecording(path)
  const { seed, memoryBytes, append, release, files } = settings
  if (guestOf(folder).files !== files) {
    throw new InputError(
      '--replay',
      `recorded with another guest (Linux ${release}) than ${folder} has`,
    )
  }
  if (end === null) {
    throw new InputError('--replay', `${path}: has no end: the session was cut off`)
  }
  const session = new ConsoleSession({ seed, memoryBytes, append, folder, recorded: inputs })
  const stop = (): void => void session.close()
  signal.addEventListener('abort', stop, { once: true })
  try {
    const digest = new ConsoleDigest()
    for (;;) {
      const bytes = await session.readConsole()
      if (bytes === null) break
      digest.add(bytes)
      output.stdout.write(bytes)
    }
    signal.throwIfAborted()
    const difference = differenceOf(end, digest.end(await session.ended))
    if (difference === null) return 0
    output.stderr.write(`guestyard: ${path}: ${difference}\n`)
    return 1
  } finally {
    await session.close()
  }
}

/** Null where both are the same. */
function differenceOf(recorded: RecordedEnd, replayed: RecordedEnd): string | null {
  for (const [name, value] of Object.entries(recorded)) {
    const now = replayed[name as keyof RecordedEnd]
    if (now !== value) return `the replay differs: ${name} was ${value}, and is ${now}`
  }
  return null
}

function guestOf(folder: string): { readonly release: string; readonly files: string } {
  const manifest = readManifest(folder)
  if (manifest === null) throw new InputError('linux', `no Linux guest in ${folder}`)
  const files = createHash('sha256')
  for (const name of Object.keys(manifest.files).toSorted()) {
    files.update(`${name} ${manifest.files[name]}\n`)
  }
  return { release: manifest.release, files: files.digest('hex') }
}
