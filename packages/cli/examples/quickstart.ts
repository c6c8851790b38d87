// The command from a program: the same flags, the same exit codes.
import { runCommand } from '@guestyard/cli'

const exitCode = await runCommand([
  'load',
  ...['--payload', '64', '--duration', '100ms', '--repeats', '1'],
  ...['--threshold', 'packetsPerSecond>1000'],
])
console.log(`exit code ${exitCode}`)
// prints: exit code 0
