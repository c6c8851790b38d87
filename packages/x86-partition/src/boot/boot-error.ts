/** A kernel, or what goes with it, that can't be booted: one line that names what is wrong. Where it was found helps nobody who reads it: its stack is that line, too. */
export class BootError extends Error {
  override readonly name = 'BootError'

  constructor(message: string) {
    super(message)
    this.stack = message
  }
}
