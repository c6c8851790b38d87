// HOT: the pieces of one request, moved to and from the file a stretch at a time.

import { FileStatus } from './backing-file.ts'
import type { BackingFile } from './backing-file.ts'
import { ScatterList } from './scatter-list.ts'

/** A place in a request's data. Each method moves the next `lengthBytes` of it. One object serves a disk; nothing is allocated. */
export class PieceWalk {
  #data: ScatterList = NO_DATA
  #piece = 0
  /** Bytes of that piece that are done. */
  #done = 0

  begin(data: ScatterList): void {
    this.#data = data
    this.#piece = 0
    this.#done = 0
  }

  /** From the file into the data. */
  read(file: BackingFile, position: number, lengthBytes: number): FileStatus {
    const { bytes, addresses } = this.#data
    while (lengthBytes > 0) {
      const at = addresses[this.#piece]! + this.#done
      const partBytes = this.#take(lengthBytes)
      const status = file.read(position, bytes, at, partBytes)
      if (status !== FileStatus.OK) return status
      position += partBytes
      lengthBytes -= partBytes
    }
    return FileStatus.OK
  }

  /** From the data into the file. */
  write(file: BackingFile, position: number, lengthBytes: number): FileStatus {
    const { bytes, addresses } = this.#data
    while (lengthBytes > 0) {
      const at = addresses[this.#piece]! + this.#done
      const partBytes = this.#take(lengthBytes)
      const status = file.write(position, bytes, at, partBytes)
      if (status !== FileStatus.OK) return status
      position += partBytes
      lengthBytes -= partBytes
    }
    return FileStatus.OK
  }

  /** Zeros into the data. */
  zero(lengthBytes: number): void {
    const { bytes, addresses, memory } = this.#data
    while (lengthBytes > 0) {
      const at = addresses[this.#piece]! + this.#done
      const partBytes = this.#take(lengthBytes)
      if (memory === null) bytes.fill(0, at, at + partBytes)
      else memory.kernel.fill(at, 0, partBytes)
      lengthBytes -= partBytes
    }
  }

  /** Leaves the data as they are. */
  skip(lengthBytes: number): void {
    while (lengthBytes > 0) lengthBytes -= this.#take(lengthBytes)
  }

  /** As much as the piece has of it, and steps over that. */
  #take(lengthBytes: number): number {
    const left = this.#data.lengths[this.#piece]! - this.#done
    if (lengthBytes < left) {
      this.#done += lengthBytes
      return lengthBytes
    }
    this.#piece += 1
    this.#done = 0
    return left
  }
}

const NO_DATA = new ScatterList(0)
