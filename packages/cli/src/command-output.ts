/** Where the command writes; the process's own streams by default. */
export interface CommandOutput {
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
}
