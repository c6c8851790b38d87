// One channel of the controller: two drives that share the registers, the interrupt line and the bus master. A write of the task file
// reaches both drives, a read is the selected drive's; what is not there answers as an open bus does (ATA/ATAPI-6, 9.16).

import { BusMaster, type IdeMemory } from './bus-master.ts'
import { AtaCommand } from './commands.ts'
import { DrivePhase, type IdeDrive } from './drive.ts'
import { AtaControl, AtaDevice, AtaRegister, ATA_STATUS } from './registers.ts'

/** An open bus, with the pull-down at bit 7 that keeps BSY away. */
const OPEN_BUS = 0x7f
const DATA_BYTES = 2

/** Told of a change of the channel's interrupt line, from within the access or the poll that changed it. */
export type LineChanged = (asserted: boolean) => void

export class IdeChannel {
  readonly busMaster: BusMaster
  readonly #drives: [IdeDrive | null, IdeDrive | null] = [null, null]
  readonly #onLine: LineChanged
  #selected: 0 | 1 = 0
  #control = 0
  #line = false
  /** Accesses of each kind. */
  reads = 0
  writes = 0
  interrupts = 0

  constructor(memory: IdeMemory | null, onLine: LineChanged) {
    this.busMaster = new BusMaster(memory)
    this.#onLine = onLine
  }

  get drives(): readonly [IdeDrive | null, IdeDrive | null] {
    return this.#drives
  }

  get isAsserted(): boolean {
    return this.#line
  }

  attach(device: 0 | 1, drive: IdeDrive | null): void {
    this.#drives[device] = drive
  }

  /** A read of the command block: `size` is 1, 2 or 4. Wider ones than the register are several of a byte. */
  readCommandBlock(offset: number, size: number): number {
    this.reads += 1
    let value = 0
    if (offset === AtaRegister.DATA) {
      value = this.#readData(size)
    } else {
      for (let i = 0; i < size && i < 4; i++) {
        const byte = offset + i <= ATA_STATUS ? this.#readRegister(offset + i) : 0xff
        value |= byte << (i * 8)
      }
    }
    this.#update()
    return value >>> 0
  }

  writeCommandBlock(offset: number, size: number, value: number): void {
    this.writes += 1
    if (offset === AtaRegister.DATA) {
      this.#selectedDrive?.writeWord(value & 0xffff)
      if (size >= 2 * DATA_BYTES) this.#selectedDrive?.writeWord(value >>> 16)
    } else {
      for (let i = 0; i < size && i < 4 && offset + i <= AtaRegister.COMMAND; i++) {
        this.#writeRegister(offset + i, (value >>> (i * 8)) & 0xff)
      }
    }
    this.#update()
  }

  /** Alternate Status: the interrupt stays. */
  readControlBlock(): number {
    this.reads += 1
    return this.#status
  }

  /** Device Control. */
  writeControlBlock(value: number): void {
    this.writes += 1
    const wasReset = (this.#control & AtaControl.SRST) !== 0
    const isReset = (value & AtaControl.SRST) !== 0
    this.#control = value & (AtaControl.NIEN | AtaControl.SRST | AtaControl.HOB)
    if (isReset && !wasReset) this.#beginReset()
    else if (wasReset && !isReset) for (const drive of this.#drives) drive?.endReset()
    this.#update()
  }

  readBusMaster(offset: number, size: number): number {
    this.reads += 1
    let value = 0
    for (let i = 0; i < size && i < 4; i++) value |= this.busMaster.read(offset + i) << (i * 8)
    return value >>> 0
  }

  writeBusMaster(offset: number, size: number, value: number): void {
    this.writes += 1
    for (let i = 0; i < size && i < 4; i++) {
      this.busMaster.write(offset + i, (value >>> (i * 8)) & 0xff)
    }
  }

  /** The reset line: as after power-on. */
  reset(): void {
    this.#control = 0
    this.#beginReset()
    for (const drive of this.#drives) drive?.endReset()
    this.#update()
  }

  /** At most about `budget` pieces of 64 KiB. How many were done. */
  poll(budget: number): number {
    let done = 0
    for (const drive of this.#drives) if (drive !== null) done += drive.poll(budget)
    while (done < budget && this.#canMove) {
      this.#move(this.#selectedDrive!)
      done += 1
    }
    this.#update()
    return done
  }

  /** `poll` has something to do now. */
  get hasWork(): boolean {
    return this.#canMove || this.#drives.some((drive) => drive?.hasWork)
  }

  nextDeadlineMs(): number {
    const [first, second] = this.#drives
    return Math.min(first?.nextDeadlineMs() ?? Infinity, second?.nextDeadlineMs() ?? Infinity)
  }

  get #selectedDrive(): IdeDrive | null {
    return this.#drives[this.#selected]
  }

  get #canMove(): boolean {
    if (!this.busMaster.isActive) return false
    const phase = this.#selectedDrive?.phase
    return phase === DrivePhase.DMA_IN || phase === DrivePhase.DMA_OUT
  }

  #move(drive: IdeDrive): void {
    const toMemory = drive.phase === DrivePhase.DMA_IN
    const moved = this.busMaster.move(drive.buffer, drive.at, drive.end - drive.at, toMemory)
    if (moved < 0) drive.dmaFailed()
    else drive.moved(moved)
  }

  #readData(size: number): number {
    const drive = this.#selectedDrive
    if (drive === null) {
      const open = this.#drives[0] === null ? OPEN_BUS | (0xff << 8) : 0
      return size >= 2 * DATA_BYTES ? open | (open << 16) : size === 1 ? open & 0xff : open
    }
    const low = drive.readWord()
    if (size < 2 * DATA_BYTES) return size === 1 ? low & 0xff : low
    return low | (drive.readWord() << 16)
  }

  get #status(): number {
    const drive = this.#selectedDrive
    if (drive !== null) return drive.status
    // Device 0 answers for a device 1 that is not there, with nothing; nobody answers for device 0.
    return this.#drives[0] === null ? OPEN_BUS : 0
  }

  #readRegister(register: number): number {
    if (register === ATA_STATUS) {
      const status = this.#status
      const drive = this.#selectedDrive
      if (drive !== null) drive.interrupt = false
      return status
    }
    const drive = this.#selectedDrive ?? this.#drives[0]
    if (drive === null) return OPEN_BUS
    const value = drive.file.read(register, (this.#control & AtaControl.HOB) !== 0)
    if (register !== AtaRegister.DEVICE) return value
    return (value & ~AtaDevice.DEV) | (this.#selected === 1 ? AtaDevice.DEV : 0)
  }

  #writeRegister(register: number, value: number): void {
    this.#control &= ~AtaControl.HOB
    if (register === AtaRegister.COMMAND) return this.#command(value)
    // While a drive is at work its registers are its own.
    if (this.#selectedDrive?.isIdle === false) return
    if (register === AtaRegister.DEVICE) this.#selected = (value & AtaDevice.DEV) === 0 ? 0 : 1
    for (const drive of this.#drives) {
      if (drive !== null && drive.isIdle) writeTaskFile(drive, register, value)
    }
  }

  #command(code: number): void {
    const drive = this.#selectedDrive
    const isDiagnosis = code === AtaCommand.EXECUTE_DIAGNOSTIC
    if (drive === null && !isDiagnosis) return
    if (drive !== null) {
      const isReset = code === AtaCommand.DEVICE_RESET && drive.isPacket
      if (!isReset && (!drive.isIdle || drive.isAsleep)) return
      // The line falls before the command can raise it again.
      drive.interrupt = false
      this.#update()
    }
    if (isDiagnosis) this.#diagnose()
    else drive?.command(code)
  }

  /** EXECUTE DEVICE DIAGNOSTIC is for both drives, whichever is selected; device 0 reports. */
  #diagnose(): void {
    this.#selected = 0
    for (const drive of this.#drives) {
      if (drive === null || !drive.isIdle) continue
      drive.file.device = 0
      drive.diagnosed()
    }
    const [first] = this.#drives
    if (first?.isIdle === true) first.interrupt = true
  }

  #beginReset(): void {
    this.#selected = 0
    for (const drive of this.#drives) {
      if (drive === null) continue
      drive.file.device = 0
      drive.beginReset()
    }
  }

  #update(): void {
    const isMasked = (this.#control & AtaControl.NIEN) !== 0
    const line = !isMasked && this.#selectedDrive?.interrupt === true
    if (line === this.#line) return
    this.#line = line
    if (line) {
      this.interrupts += 1
      this.busMaster.interrupted()
    }
    this.#onLine(line)
  }
}

function writeTaskFile({ file }: IdeDrive, register: number, value: number): void {
  switch (register) {
    case AtaRegister.FEATURES:
      file.features = value
      return
    case AtaRegister.COUNT:
      return file.writeCount(value)
    case AtaRegister.LBA_LOW:
      return file.writeLow(value)
    case AtaRegister.LBA_MID:
      return file.writeMid(value)
    case AtaRegister.LBA_HIGH:
      return file.writeHigh(value)
    default:
      file.device = value
  }
}
