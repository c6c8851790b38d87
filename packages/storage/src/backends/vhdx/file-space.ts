// Which MiB of the file are taken: one bit each. Blocks are taken from gaps first (what lies there is old bytes, which the taker must
// overwrite or never show) and else from beyond the end of the file (zeros).

import { assert } from '@guestyard/hvdef'

/** No room in any gap. */
const NONE = -1

export class FileSpace {
  #taken: Uint8Array
  /** The file's length in MiB, a part counted as one. */
  #fileMib: number
  #freeMib: number
  /** Searches begin here: below it no gap was found since the last release. */
  #from = 0
  /** The shortest run that a whole search did not find since the last release. */
  #unfound = Infinity

  /** The whole file is free, but for the first MiB. */
  constructor(fileMib: number) {
    this.#fileMib = fileMib
    this.#taken = new Uint8Array(Math.ceil(fileMib / 8))
    this.#taken[0] = 1
    this.#freeMib = fileMib - 1
  }

  get fileMib(): number {
    return this.#fileMib
  }

  /** MiB of the file that nothing is in. */
  get freeMib(): number {
    return this.#freeMib
  }

  /** MiB from the start up to the end of the last one that is taken. */
  get usedEndMib(): number {
    let byte = this.#taken.length - 1
    while (byte >= 0 && this.#taken[byte] === 0) byte -= 1
    return byte < 0 ? 0 : byte * 8 + 32 - Math.clz32(this.#taken[byte]!)
  }

  /** Takes a range that the file's structures name. False when some of it is taken or beyond the end. */
  claim(mib: number, count: number): boolean {
    if (mib + count > this.#fileMib) return false
    for (let at = mib; at < mib + count; at += 1) if (this.isTaken(at)) return false
    for (let at = mib; at < mib + count; at += 1) this.#set(at)
    this.#freeMib -= count
    return true
  }

  isTaken(mib: number): boolean {
    return (this.#taken[mib >>> 3]! & (1 << (mib & 7))) !== 0
  }

  release(mib: number, count: number): void {
    for (let at = mib; at < mib + count; at += 1) {
      assert(this.isTaken(at), 'Only what is taken is released.')
      this.#taken[at >>> 3]! &= ~(1 << (at & 7))
    }
    this.#freeMib += count
    this.#from = Math.min(this.#from, mib)
    this.#unfound = Infinity
  }

  /** Takes the first gap that is long enough and ends at or below `limitMib`. Its first MiB, or a negative number. */
  takeGap(count: number, limitMib: number): number {
    if (count > this.#freeMib || count >= this.#unfound) return NONE
    let run = 0
    let first = NONE
    for (let at = this.#from; at < this.#fileMib; at += 1) {
      if ((at & 7) === 0 && this.#taken[at >>> 3] === 0xff) {
        at += 7
        run = 0
        continue
      }
      if (this.isTaken(at)) {
        run = 0
        continue
      }
      if (first === NONE) first = at
      run += 1
      if (run < count) continue
      const mib = at + 1 - count
      if (mib + count > limitMib) return NONE
      for (let taken = mib; taken <= at; taken += 1) this.#set(taken)
      this.#freeMib -= count
      if (first === mib) this.#from = at + 1
      return mib
    }
    if (first !== NONE) this.#from = first
    this.#unfound = count
    return NONE
  }

  /** Takes what lies just beyond the file, which is to be made so much longer. */
  takeEnd(count: number): number {
    const mib = this.#fileMib
    this.setFileMib(mib + count)
    for (let at = mib; at < mib + count; at += 1) this.#set(at)
    this.#freeMib -= count
    return mib
  }

  /** The file is longer or shorter now. What is cut off was released before. */
  setFileMib(fileMib: number): void {
    if (fileMib > this.#taken.length * 8) {
      const longer = new Uint8Array(Math.ceil((fileMib / 8) * 1.25) + 64)
      longer.set(this.#taken)
      this.#taken = longer
    }
    this.#freeMib += fileMib - this.#fileMib
    this.#fileMib = fileMib
    this.#unfound = Infinity
    this.#from = Math.min(this.#from, fileMib)
  }

  #set(mib: number): void {
    this.#taken[mib >>> 3]! |= 1 << (mib & 7)
  }
}
