/** The world's fault while a guest is fetched: a host that does not answer, a file that is not what was promised. One line that names which. */
export class FetchError extends Error {
  override readonly name = 'FetchError'

  constructor(message: string) {
    super(message)
    this.stack = message
  }
}

/** Of whatever was thrown, the words that help: the cause of a `fetch failed`, the first line of anything else. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  const { message } = cause instanceof Error && cause.message !== '' ? cause : error
  return message.split('\n', 1)[0]!
}
