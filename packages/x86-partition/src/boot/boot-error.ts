/** A kernel, or what goes with it, that can't be booted: one line that names what is wrong. */
export class BootError extends Error {
  override readonly name = 'BootError'
}
