/**
 * Progress for whoever watches: on a terminal one line that is rewritten, in a pipe plain lines only.
 */

/** What progress needs of a stream; `process.stderr` and `process.stdout` fit. */
export interface ProgressStream {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

export interface Progress {
  /** The state of the moment; replaces the one before on a terminal, is left out of a pipe. */
  update(text: string): void
  /** A line that stays. */
  line(text: string): void
  /** Removes the line of the moment. */
  end(): void
}

const UPDATE_INTERVAL_MS = 80
const CLEAR_LINE = '\r\u001B[2K'

/** `nowMs` is for tests. */
export function createProgress(
  stream: ProgressStream,
  nowMs: () => number = () => performance.now(),
): Progress {
  if (stream.isTTY !== true) {
    return {
      update: () => undefined,
      line: (text) => void stream.write(`${text}\n`),
      end: () => undefined,
    }
  }
  let shown = ''
  let shownAt = Number.NEGATIVE_INFINITY
  const clear = (): void => {
    if (shown !== '') stream.write(CLEAR_LINE)
    shown = ''
  }
  return {
    update(text) {
      if (nowMs() - shownAt < UPDATE_INTERVAL_MS) return
      shownAt = nowMs()
      shown = text.slice(0, lineWidth(stream))
      stream.write(`${CLEAR_LINE}${shown}`)
    },
    line(text) {
      const kept = shown
      clear()
      stream.write(`${text}\n`)
      if (kept !== '') stream.write(kept)
      shown = kept
    },
    end: clear,
  }
}

/** One column is left free, so that no terminal wraps; a terminal that does not know its width has 80. */
function lineWidth(stream: ProgressStream): number {
  const columns = stream.columns ?? 0
  return (columns > 0 ? columns : 80) - 1
}

/** Nobody watches. */
export const silentProgress: Progress = {
  update: () => undefined,
  line: () => undefined,
  end: () => undefined,
}
