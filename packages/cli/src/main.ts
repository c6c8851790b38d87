// What `guestyard` runs; importing this file is running the command.

import { runCommand } from './command.ts'

process.exitCode = await runCommand(process.argv.slice(2))
