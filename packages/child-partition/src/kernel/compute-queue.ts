// HOT (poll)
// What a guest's program computes, in pieces: between two of them the kernel looks at its grant, so a program that computes for
// long gives its processor up as soon as the scheduler wants it, and goes on when it has one again.

/** The processor as a guest uses it up: the threads engine spins, the virtual one charges virtual time. */
export interface Processor {
  /** Uses it for about `microseconds`. How long it did, which may be more. */
  burn(microseconds: number): number
}

/** Microseconds of one piece: long beside an exit, short beside a slice. */
const PIECE_MICROSECONDS = 100

interface Job {
  left: number
  readonly done: () => void
}

/** VP's thread only. */
export class ComputeQueue {
  readonly #processor: Processor | null
  readonly #jobs: Job[]
  #isResuming: boolean
  /** Microseconds of its own dispatched time that the program used. */
  used: number

  constructor(processor: Processor | null) {
    this.#processor = processor
    this.#jobs = []
    this.#isResuming = false
    this.used = 0
  }

  /** True also while a program that waited for the end of a job has not gone on yet: it may want more at once. */
  get isPending(): boolean {
    return this.#jobs.length > 0 || this.#isResuming
  }

  /** Resolves once so many microseconds were computed, in turn with what was asked for before. 0: at the next poll with a grant. */
  add(microseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#jobs.push({ left: microseconds, done: resolve })
    return promise
  }

  /** One piece; 1 when there was something to do. Only with a grant. */
  poll(): number {
    const job = this.#jobs[0]
    if (job === undefined) return 0
    // Told by the poll after the last piece: under the virtual engine that piece is over only then.
    if (job.left <= 0 || this.#processor === null) {
      this.#jobs.shift()
      job.done()
      this.#resume()
      return 1
    }
    const piece = job.left < PIECE_MICROSECONDS ? job.left : PIECE_MICROSECONDS
    const used = this.#processor.burn(piece)
    this.used += used
    job.left -= used
    return 1
  }

  /** The engine lets everything that waits go on before it polls again: by then the program has said what it wants next. */
  #resume(): void {
    this.#isResuming = true
    void Promise.resolve().then(() => {
      this.#isResuming = false
    })
  }
}
