import type { Command } from 'commander'

import { InputError } from '@guestyard/scenario'

/** `--engine`: which engine runs the machines; there is one so far. */
export function addEngineOption(command: Command): Command {
  return command.option('--engine <name>', 'what runs the machines: threads', 'threads')
}

export function checkEngine(name: string): void {
  if (name === 'threads') return
  if (name === 'virtual') {
    throw new InputError('--engine', 'virtual is not yet available; use threads')
  }
  throw new InputError('--engine', `expected threads, got '${name}'`)
}
