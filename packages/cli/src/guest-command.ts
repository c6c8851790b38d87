/** `guestyard guest fetch linux`: where the Linux guest comes from. */

import { Command } from 'commander'

import { InputError } from '@guestyard/scenario'
import { FetchError, fetchLinux, linuxCacheFolder } from '@guestyard/x86-partition/node'
import type { FetchOptions } from '@guestyard/x86-partition/node'

import type { CommandOutput } from './command-output.ts'
import { FetchProgress } from './fetch-progress.ts'
import { interruptible } from './interrupt.ts'
import { asInputError } from './linux-command.ts'

interface FetchFlags {
  readonly mirror?: string
  readonly suite: string
  readonly apt: boolean
  readonly keyring?: string
  readonly folder?: string
}

export function guestCommand(output: CommandOutput): Command {
  const fetch = new Command('fetch')
    .description(
      'Fetch a guest into the cache: its kernel, its modules, busybox. With apt where there is one, else over HTTP.',
    )
    .argument('<guest>', 'linux: the i386 kernel of Debian, as it is today')
    .option(
      '--mirror <url>',
      'a Debian mirror (default: deb.debian.org; over https:// where there is no apt)',
    )
    .option('--suite <name>', 'a release of Debian', 'bookworm')
    .option('--no-apt', 'over HTTP even where there is apt')
    .option(
      '--keyring <file>',
      "OpenPGP keys that sign the mirror's releases, for any but Debian's",
    )
    .option('--folder <path>', 'where to keep it, when not in the cache')
    .action(async (guest: string, flags: FetchFlags) => {
      if (guest !== 'linux') throw new InputError('<guest>', `no guest '${guest}': linux`)
      await interruptible((signal) => fetchGuest(flags, output, signal))
    })
  return new Command('guest')
    .description(
      "Fetch operating systems that run as guests: other people's work, kept in your cache.",
    )
    .helpCommand(false)
    .addCommand(fetch)
    .addHelpText(
      'after',
      `
Examples:
  guestyard guest fetch linux
  guestyard guest fetch linux --no-apt --mirror https://deb.debian.org/debian`,
    )
}

async function fetchGuest(
  flags: FetchFlags,
  output: CommandOutput,
  signal: AbortSignal,
): Promise<void> {
  const { folder = linuxCacheFolder(), ...rest } = flags
  const progress = new FetchProgress(output.stderr)
  const options: FetchOptions = {
    ...{ ...rest, folder, signal },
    onProgress: (line) => progress.say(line),
    onBytes: (bytes) => progress.count(bytes),
  }
  try {
    const manifest = await fetchLinux(options)
    output.stdout.write(`${manifest.packages.join('\n')}\n`)
  } catch (error) {
    throw error instanceof FetchError ? error : asInputError(error)
  } finally {
    progress.end()
  }
}
