// Long work on files: what its owner sees of it.

import type { ImageJob } from '../backends/image.ts'

/** Work that its owner drives by `step`, or gives up. When `step` throws an `ImageError`, `abandon` is due as well. */
export interface FileJob extends ImageJob {
  /** The image that the work is about: what is looked at when it is done. */
  readonly path: string
  /** Gives up what isn't done: images are whole, a new one isn't there. After the last step it does nothing. */
  abandon(): void
}

/** Work on files that are open for it, and what is due after it. */
export class OpenFilesJob implements FileJob {
  readonly path: string
  readonly #job: ImageJob
  readonly #finish: () => void
  readonly #abandon: () => void
  #isOver = false

  constructor(path: string, job: ImageJob, finish: () => void, abandon: () => void) {
    this.path = path
    this.#job = job
    this.#finish = finish
    this.#abandon = abandon
  }

  get doneBytes(): number {
    return this.#job.doneBytes
  }

  get totalBytes(): number {
    return this.#job.totalBytes
  }

  step(): boolean {
    if (!this.#job.step()) return false
    this.#isOver = true
    this.#finish()
    return true
  }

  abandon(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#abandon()
  }
}

/** Work of one step. */
export function atOnce(work: () => void): ImageJob {
  const step = (): boolean => {
    work()
    return true
  }
  return { step, doneBytes: 0, totalBytes: 0 }
}
