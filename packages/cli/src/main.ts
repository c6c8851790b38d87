// What `guestyard` runs; importing this file is running the command.

import { enableCompileCache } from 'node:module'

// Before anything else is loaded: reading and compiling its modules is most of what a short command takes.
enableCompileCache()
const { letReadersLeave } = await import('./closed-pipe.ts')
const { runCommand } = await import('./command.ts')

letReadersLeave([process.stdout, process.stderr])
process.exitCode = await runCommand(process.argv.slice(2))
