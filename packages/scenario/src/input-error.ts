/**
 * What a person gave us is wrong: a flag, a field, a file. One line that says where and what; the
 * command ends with exit code 2 and has started nothing.
 */
export class InputError extends Error {
  override readonly name = 'InputError'
  /** The flag, field or file that is wrong, such as `vms.db.memory` or `--payload`. */
  readonly where: string
  /** What is wrong with it. */
  readonly problem: string

  constructor(where: string, problem: string) {
    super(oneLine(`${where}: ${problem}`))
    this.where = where
    this.problem = oneLine(problem)
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*[\r\n]+\s*/g, ' ').trim()
}
