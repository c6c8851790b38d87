// What image formats have in common: how they fail, and how their long work goes on.

/** A file that is not the image it should be, or an order that can't be followed. One line: the file, the field, what is wrong with it. */
export class ImageError extends Error {
  /** The file. */
  readonly file: string
  /** Which part of the format: `header 1: checksum`, `BAT entry 17`. Empty when it is not about a part. */
  readonly field: string
  /** What is wrong with it, without the two above. */
  readonly problem: string

  constructor(file: string, field: string, problem: string) {
    super(field === '' ? `${file}: ${problem}` : `${file}: ${field}: ${problem}`)
    this.name = 'ImageError'
    this.file = file
    this.field = field
    this.problem = problem
  }
}

/**
 * Long work on images (create, convert, merge, compact), step by step: whoever drives it shows progress and may stop between two
 * steps, which leaves every image whole.
 */
export interface ImageJob {
  /** Does a part of at most a few MiB. True when all is done. Throws an `ImageError`. */
  step(): boolean
  /** Bytes looked at so far, of `totalBytes`. */
  readonly doneBytes: number
  readonly totalBytes: number
}

/** One thing that a check found. */
export interface ImageFinding {
  /** `error`: the image is damaged. `note`: it is sound, and not as it is after a clean close. */
  readonly severity: 'error' | 'note'
  readonly field: string
  readonly problem: string
}
