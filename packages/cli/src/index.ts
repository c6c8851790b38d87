export { runCommand } from './command.ts'
export type { CommandOutput } from './command-output.ts'
export { addLoadOptions, readLoadFlags, type LoadFlags, type LoadJob } from './load-flags.ts'
export { runLoadJob, type MoreLoad } from './load-command.ts'
