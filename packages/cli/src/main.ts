// What `guestyard` runs; importing this file is running the command.

import { letReadersLeave } from './closed-pipe.ts'
import { runCommand } from './command.ts'

letReadersLeave([process.stdout, process.stderr])
process.exitCode = await runCommand(process.argv.slice(2))
