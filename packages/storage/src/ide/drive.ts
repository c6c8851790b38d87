// What both drives of a channel are to it: a task file, a buffer that the host reads or writes a word at a time or the bus master at
// once, and the phase that says whose turn it is (ATA/ATAPI-6, clause 9). Drives begin work in `command` and go on in `poll`; they never wait.
//
//   phase      Status         what ends it
//   IDLE       the result     a command
//   PIO_IN     DRQ            the host has read the buffer
//   PIO_OUT    DRQ            the host has filled it
//   DMA_IN     BSY            the bus master has taken the buffer
//   DMA_OUT    BSY            the bus master has filled it
//   WORKING    BSY            the disk or the target, or the next `poll`
//   RESETTING  BSY            the host releases the reset, and nothing is under way

import { ATA_SECTOR_BYTES, AtaError, AtaStatus, DIAGNOSTIC_PASSED } from './registers.ts'
import { TaskFile } from './task-file.ts'

export const DrivePhase = {
  IDLE: 0,
  PIO_IN: 1,
  PIO_OUT: 2,
  DMA_IN: 3,
  DMA_OUT: 4,
  WORKING: 5,
  RESETTING: 6,
} as const
export type DrivePhase = (typeof DrivePhase)[keyof typeof DrivePhase]

/** Bytes that a drive moves at a time, at most. Even. */
export const DRIVE_BUFFER_BYTES: number = 128 * ATA_SECTOR_BYTES

/** Its channel's thread only. */
export abstract class IdeDrive {
  readonly file: TaskFile = new TaskFile()
  readonly buffer: Uint8Array = new Uint8Array(DRIVE_BUFFER_BYTES)
  /** The host's place in the buffer, and where the block ends that it may move now. */
  at = 0
  end = 0
  phase: DrivePhase = DrivePhase.IDLE
  /** It asks for attention: INTRQ, where the drive is selected and the host has not masked it. */
  interrupt = false
  /** Only a reset wakes it. */
  isAsleep = false
  /** Commands that it took, and those that ended with an error. */
  commands = 0
  errors = 0
  /** What Status says beside BSY and DRQ. */
  #result = 0
  /** The host holds the reset. */
  #isHeld = false

  abstract readonly isPacket: boolean
  /** A command has been written, and the drive is idle. */
  protected abstract execute(code: number): void
  /** The host has taken, or filled, the buffer from 0 to `end`. */
  protected abstract bufferTaken(): void
  protected abstract bufferFilled(): void
  /** Goes on with its work: at most about `budget` pieces of 64 KiB. How many were done. */
  abstract poll(budget: number): number
  /** `poll` has something to do now, whatever the disk does. */
  abstract readonly hasWork: boolean
  abstract nextDeadlineMs(): number
  /** Gives up what is under way. */
  protected abstract abandon(): void
  /** The disk or the target still has a request. */
  protected abstract readonly isUnderWay: boolean
  /** Settings are as after power-on. */
  protected abstract restoreDefaults(): void

  get status(): number {
    switch (this.phase) {
      case DrivePhase.IDLE:
        return this.#result
      case DrivePhase.PIO_IN:
      case DrivePhase.PIO_OUT:
        return this.#ready | AtaStatus.DRQ
      case DrivePhase.DMA_IN:
      case DrivePhase.DMA_OUT:
      case DrivePhase.WORKING:
      case DrivePhase.RESETTING:
        return this.#ready | AtaStatus.BSY
    }
  }

  /** Neither BSY nor DRQ: registers may be written. */
  get isIdle(): boolean {
    return this.phase === DrivePhase.IDLE
  }

  command(code: number): void {
    this.commands += 1
    this.file.error = 0
    this.execute(code)
  }

  /** The Data register: the next two bytes, 0 when there is nothing to read. */
  readWord(): number {
    if (this.phase !== DrivePhase.PIO_IN) return 0
    const low = this.buffer[this.at]!
    const high = this.at + 1 < this.end ? this.buffer[this.at + 1]! : 0
    this.moved(2)
    return (high << 8) | low
  }

  writeWord(value: number): void {
    if (this.phase !== DrivePhase.PIO_OUT) return
    this.buffer[this.at] = value
    this.buffer[this.at + 1] = value >>> 8
    this.moved(2)
  }

  /** So many bytes of the buffer, from `at` on, were moved. */
  moved(bytes: number): void {
    this.at += bytes
    if (this.at < this.end) return
    const isIn = this.phase === DrivePhase.PIO_IN || this.phase === DrivePhase.DMA_IN
    if (isIn) this.bufferTaken()
    else this.bufferFilled()
  }

  /** The bus master met an end of its table that should not be, or no memory: the command is aborted. */
  dmaFailed(): void {
    this.fail(AtaError.ABRT)
  }

  /** The reset line, or bit SRST: the drive is busy until `endReset`. */
  beginReset(): void {
    this.#isHeld = true
    this.phase = DrivePhase.RESETTING
    this.interrupt = false
    this.abandon()
  }

  endReset(): void {
    this.#isHeld = false
    this.settleReset()
  }

  /** The reset is over as soon as nothing is under way. */
  protected settleReset(): void {
    if (this.phase !== DrivePhase.RESETTING || this.#isHeld || this.isUnderWay) return
    this.isAsleep = false
    this.restoreDefaults()
    this.diagnosed()
  }

  /** It is well, says what it is and is idle. */
  diagnosed(): void {
    this.file.setSignature(this.isPacket)
    this.file.error = DIAGNOSTIC_PASSED
    // A packet device is not ready before its first command.
    this.#result = this.isPacket ? 0 : this.#ready
    this.phase = DrivePhase.IDLE
  }

  /** There is data for the host. A block of PIO asks for attention; the bus master has asked already. */
  protected offer(from: number, end: number, isDma: boolean): void {
    this.at = from
    this.end = end
    this.phase = isDma ? DrivePhase.DMA_IN : DrivePhase.PIO_IN
    if (!isDma) this.interrupt = true
  }

  /** The host is to fill the buffer. */
  protected demand(bytes: number, isDma: boolean, interrupt: boolean): void {
    this.at = 0
    this.end = bytes
    this.phase = isDma ? DrivePhase.DMA_OUT : DrivePhase.PIO_OUT
    if (interrupt) this.interrupt = true
  }

  protected finish(): void {
    this.rest()
    this.interrupt = true
  }

  /** The end of a PIO read: the host has all of it, and is not interrupted again. */
  protected rest(): void {
    this.phase = DrivePhase.IDLE
    this.#result = this.#ready
  }

  /** `error`: the register's bits; `extra`: of Status, beside ERR. */
  protected fail(error: number, extra: number = 0): void {
    this.errors += 1
    this.file.error = error
    this.phase = DrivePhase.IDLE
    this.#result = this.#ready | AtaStatus.ERR | extra
    this.interrupt = true
  }

  get #ready(): number {
    return this.isPacket ? AtaStatus.DRDY : AtaStatus.DRDY | AtaStatus.DSC
  }
}
