// The task file of one drive. Count and the three LBA registers are two bytes deep: a write pushes the one before it down, and 48-bit
// commands use both (ATA/ATAPI-6, 6.20). Reads see the upper one when HOB is set.

import { AtaDevice } from './registers.ts'

export class TaskFile {
  features = 0
  error = 0
  count = 0
  lbaLow = 0
  lbaMid = 0
  lbaHigh = 0
  device = 0
  #previousCount = 0
  #previousLow = 0
  #previousMid = 0
  #previousHigh = 0

  writeCount(value: number): void {
    this.#previousCount = this.count
    this.count = value
  }

  writeLow(value: number): void {
    this.#previousLow = this.lbaLow
    this.lbaLow = value
  }

  writeMid(value: number): void {
    this.#previousMid = this.lbaMid
    this.lbaMid = value
  }

  writeHigh(value: number): void {
    this.#previousHigh = this.lbaHigh
    this.lbaHigh = value
  }

  /** Registers 1 to 6 as a host reads them. `high`: the bytes that were written before the latest. */
  read(register: number, high: boolean): number {
    switch (register) {
      case 1:
        return this.error
      case 2:
        return high ? this.#previousCount : this.count
      case 3:
        return high ? this.#previousLow : this.lbaLow
      case 4:
        return high ? this.#previousMid : this.lbaMid
      case 5:
        return high ? this.#previousHigh : this.lbaHigh
      default:
        // Bits 7 and 5 were always one before ATA-6, and some drivers look.
        return this.device | 0xa0
    }
  }

  get usesLba(): boolean {
    return (this.device & AtaDevice.LBA) !== 0
  }

  /** 28 bits. */
  get address28(): number {
    return ((this.device & 0xf) << 24) | (this.lbaHigh << 16) | (this.lbaMid << 8) | this.lbaLow
  }

  /** 48 bits, below 2^53. */
  get address48(): number {
    const low = (this.lbaHigh << 16) | (this.lbaMid << 8) | this.lbaLow
    const high = (this.#previousHigh << 16) | (this.#previousMid << 8) | this.#previousLow
    return high * 2 ** 24 + low
  }

  /** 1 to 256. */
  get count8(): number {
    return this.count === 0 ? 256 : this.count
  }

  /** 1 to 65536. */
  get count16(): number {
    const count = (this.#previousCount << 8) | this.count
    return count === 0 ? 65536 : count
  }

  /** Count as 16 bits, 0 being none. */
  get rawCount16(): number {
    return (this.#previousCount << 8) | this.count
  }

  setAddress28(block: number): void {
    this.lbaLow = block & 0xff
    this.lbaMid = (block >>> 8) & 0xff
    this.lbaHigh = (block >>> 16) & 0xff
    this.device = (this.device & 0xf0) | ((block >>> 24) & 0xf)
  }

  setAddress48(block: number): void {
    const low = block % 2 ** 24
    const high = Math.floor(block / 2 ** 24)
    this.lbaLow = low & 0xff
    this.lbaMid = (low >>> 8) & 0xff
    this.lbaHigh = (low >>> 16) & 0xff
    this.#previousLow = high & 0xff
    this.#previousMid = (high >>> 8) & 0xff
    this.#previousHigh = (high >>> 16) & 0xff
  }

  /** What a drive says of itself after a reset (ATA/ATAPI-6, 9.12): a disk, or a packet device. */
  setSignature(isPacket: boolean): void {
    this.count = 1
    this.lbaLow = 1
    this.lbaMid = isPacket ? 0x14 : 0
    this.lbaHigh = isPacket ? 0xeb : 0
    this.device &= AtaDevice.DEV
    this.features = 0
    this.#previousCount = 0
    this.#previousLow = 0
    this.#previousMid = 0
    this.#previousHigh = 0
  }
}
