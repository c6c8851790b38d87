// The work that power is cut from: batches of writes, each batch flushed before the next begins. It follows from the seed, so that who
// checks the image afterwards knows what each block may hold.

/** One request of a batch. Requests of a batch touch different blocks. */
export interface PlannedWrite {
  readonly block: number
  readonly count: number
  /** No data: the blocks are to read as zeros. */
  readonly zeroes: boolean
  /** On its own past every cache. */
  readonly durable: boolean
}

/** A disk's range is divided into so many lanes, one for each request of a batch. */
const BATCH_REQUESTS = 8
const BLOCKS_MAX = 48
const BLOCK_BYTES = 512
const WORDS = BLOCK_BYTES / 4
const MAGIC = 0x4c57_4f50

/** Requests of batch number `batch`, 1 or more. */
export function batchOf(seed: number, batch: number, blockCount: number): readonly PlannedWrite[] {
  let word = (Math.imul(seed, 0x9e37_79b1) ^ Math.imul(batch, 0x85eb_ca77)) >>> 0 || 1
  const below = (limit: number): number => {
    word ^= word << 13
    word ^= word >>> 17
    word = (word ^ (word << 5)) >>> 0
    return word % limit
  }
  const lane = Math.floor(blockCount / BATCH_REQUESTS)
  return Array.from({ length: BATCH_REQUESTS }, (_, index) => {
    const count = 1 + below(BLOCKS_MAX)
    // Mostly near the start of a lane, so that blocks are written again and again; sometimes anywhere.
    const reach = below(4) === 0 ? lane : Math.min(lane, 256)
    const block = index * lane + below(reach - count + 1)
    return { block, count, zeroes: below(8) === 0, durable: below(8) === 0 }
  })
}

/** What a block holds after it was written in a batch. */
export function fillBlock(words: Uint32Array, at: number, block: number, batch: number): void {
  words[at] = MAGIC
  words[at + 1] = block
  words[at + 2] = batch
  for (let index = 3; index < WORDS; index += 1) {
    words[at + index] = Math.imul(block ^ (batch << 8) ^ index, 0x9e37_79b1) >>> 0
  }
}

const ZEROS = new Uint32Array(WORDS)
/** Filled for each block that is looked at. */
const WANTED = new Uint32Array(WORDS)

/** The batch that a block says it is of; 0: it is zeros. A text when it is neither, or not whole. */
function batchIn(words: Uint32Array, at: number, block: number): number | string {
  const [magic, address, batch] = words.subarray(at, at + 3)
  const wanted = magic === 0 ? ZEROS : WANTED
  if (magic !== 0) {
    if (magic !== MAGIC) return 'it holds what nobody wrote'
    if (address !== block) return `it holds block ${address}`
    fillBlock(wanted, 0, block, batch!)
  }
  for (let index = 0; index < WORDS; index += 1) {
    if (words[at + index] !== wanted[index]) return `it is torn at word ${index}`
  }
  return magic === 0 ? 0 : batch!
}

/** What an image may hold, from one cut to the next. */
export class Oracle {
  readonly #seed: number
  readonly #blockCount: number
  /** Blocks that were ever written: the batch found, or acknowledged, last; 0: zeros. */
  readonly #known: Map<number, number> = new Map()
  /** The latest batch that `#known` has. */
  #batch = 0

  constructor(seed: number, blockCount: number) {
    this.#seed = seed
    this.#blockCount = blockCount
  }

  /** The first batch of the next run. */
  get nextBatch(): number {
    return this.#batch + 1
  }

  /** Batches up to this one were acknowledged and flushed. */
  flushed(batch: number): void {
    while (this.#batch < batch) {
      this.#batch += 1
      for (const [block, value] of this.#valuesOf(this.#batch)) this.#known.set(block, value)
    }
  }

  /**
   * Looks at every block that was ever written, and those of the batch that may have been under way. Throws for what may not be there.
   * What is found is what is known from now on.
   */
  check(readBlock: (block: number, words: Uint32Array) => void): void {
    const underWay = this.#valuesOf(this.#batch + 1)
    const words = new Uint32Array(WORDS)
    for (const block of new Set([...this.#known.keys(), ...underWay.keys()])) {
      readBlock(block, words)
      const found = batchIn(words, 0, block)
      const known = this.#known.get(block) ?? 0
      const isSound = found === known || found === underWay.get(block)
      if (!isSound || typeof found === 'string') {
        const said = typeof found === 'string' ? found : `it is of batch ${found}`
        throw new Error(
          `block ${block}: ${said}; flushed was batch ${known}, up to ${this.#batch} in all`,
        )
      }
      this.#known.set(block, found)
    }
    // Whether it was finished or not, it is over.
    this.#batch += 1
  }

  #valuesOf(batch: number): Map<number, number> {
    const values = new Map<number, number>()
    for (const write of batchOf(this.#seed, batch, this.#blockCount)) {
      for (let index = 0; index < write.count; index += 1) {
        values.set(write.block + index, write.zeroes ? 0 : batch)
      }
    }
    return values
  }
}
