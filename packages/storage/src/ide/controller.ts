// The IDE controller: two channels with two drives each, as a PIIX4 has them at the addresses that every PC knows. It is a state machine
// over register accesses: whoever carries them (intercepts, tests) calls `read` and `write` and then `poll` until `hasWork` is false.

import { assert } from '@guestyard/hvdef'

import type { Disk } from '../backends/disk.ts'
import { AtaDisk } from './ata-disk.ts'
import { AtapiDrive, type PacketTarget } from './atapi-drive.ts'
import type { IdeMemory } from './bus-master.ts'
import { IdeChannel } from './channel.ts'
import type { IdeDrive } from './drive.ts'
import {
  ATA_SECTOR_BYTES,
  BUS_MASTER_BASE,
  BUS_MASTER_PORTS,
  COMMAND_BLOCK_PORTS,
  IDE_CHANNELS,
} from './registers.ts'

/** Where a drive is. */
export interface IdePosition {
  /** 0: primary, interrupt 14; 1: secondary, interrupt 15. */
  readonly channel: 0 | 1
  readonly device: 0 | 1
}

export interface IdeControllerOptions {
  /** RAM for the bus master; null: its transfers fail. */
  readonly memory: IdeMemory | null
  /** The interrupt line of a channel has changed. From within `write`, `read` and `poll`. */
  readonly onLine: (channel: 0 | 1, asserted: boolean) => void
  /** First of the bus master's 16 ports. */
  readonly busMasterBase?: number
}

/** A run of ports. */
export interface PortRange {
  readonly first: number
  readonly count: number
}

const CHANNEL_PORTS: number = BUS_MASTER_PORTS / 2
/** Wide accesses end at four bytes. */
const ACCESS_MAX = 4

/** One thread only. */
export class IdeController {
  readonly channels: readonly [IdeChannel, IdeChannel]
  readonly ports: readonly PortRange[]
  readonly #busMaster: number

  constructor({ memory, onLine, busMasterBase = BUS_MASTER_BASE }: IdeControllerOptions) {
    this.channels = [
      new IdeChannel(memory, (asserted) => onLine(0, asserted)),
      new IdeChannel(memory, (asserted) => onLine(1, asserted)),
    ]
    this.#busMaster = busMasterBase
    this.ports = [
      ...IDE_CHANNELS.flatMap(({ command, control }) => [
        { first: command, count: COMMAND_BLOCK_PORTS },
        { first: control, count: 1 },
      ]),
      { first: busMasterBase, count: BUS_MASTER_PORTS },
    ]
  }

  /** A disk, from now on the controller's: it polls it. Before the guest runs. Blocks of 512 bytes. */
  attachDisk({ channel, device }: IdePosition, disk: Disk): void {
    assert(disk.geometry.logicalBlockBytes === ATA_SECTOR_BYTES, 'An ATA disk has 512-byte blocks.')
    this.#attach(channel, device, new AtaDisk(disk, device))
  }

  /** A DVD drive: `target` has its unit at path 0, target 0, LUN 0. */
  attachDvd({ channel, device }: IdePosition, target: PacketTarget): void {
    this.#attach(channel, device, new AtapiDrive(target, device))
  }

  /** IN. Any port, size and time; what is not here reads as all ones. */
  read(port: number, size: number): number {
    for (let index = 0; index < 2; index++) {
      const channel = this.channels[index as 0 | 1]
      const { command, control } = IDE_CHANNELS[index as 0 | 1]
      if (port >= command && port < command + COMMAND_BLOCK_PORTS) {
        return channel.readCommandBlock(port - command, size)
      }
      if (port === control) return channel.readControlBlock()
      const offset = port - this.#busMaster - index * CHANNEL_PORTS
      if (offset >= 0 && offset < CHANNEL_PORTS) return channel.readBusMaster(offset, size)
    }
    return 0xffff_ffff
  }

  /** OUT, likewise. */
  write(port: number, size: number, value: number): void {
    const width = Math.min(size, ACCESS_MAX)
    for (let index = 0; index < 2; index++) {
      const channel = this.channels[index as 0 | 1]
      const { command, control } = IDE_CHANNELS[index as 0 | 1]
      if (port >= command && port < command + COMMAND_BLOCK_PORTS) {
        return channel.writeCommandBlock(port - command, width, value)
      }
      if (port === control) return channel.writeControlBlock(value & 0xff)
      const offset = port - this.#busMaster - index * CHANNEL_PORTS
      if (offset >= 0 && offset < CHANNEL_PORTS) {
        return channel.writeBusMaster(offset, width, value)
      }
    }
  }

  /** Goes on with what accesses began. At most about `budget` pieces of 64 KiB for each channel; how many were done. */
  poll(budget: number): number {
    return this.channels[0].poll(budget) + this.channels[1].poll(budget)
  }

  /** `poll` has something to do at once; a disk that is at work meanwhile says so by its wake. */
  get hasWork(): boolean {
    return this.channels[0].hasWork || this.channels[1].hasWork
  }

  nextDeadlineMs(): number {
    return Math.min(this.channels[0].nextDeadlineMs(), this.channels[1].nextDeadlineMs())
  }

  /** The machine is reset. */
  reset(): void {
    for (const channel of this.channels) channel.reset()
  }

  /** Plain data. */
  inspect(): IdeInspection {
    return { channels: this.channels.map(inspectChannel) }
  }

  #attach(channel: 0 | 1, device: 0 | 1, drive: IdeDrive): void {
    assert(this.channels[channel].drives[device] === null, 'A position has one drive.')
    this.channels[channel].attach(device, drive)
  }
}

export interface IdeInspection {
  readonly channels: readonly {
    readonly reads: number
    readonly writes: number
    readonly interrupts: number
    readonly dmaBytes: number
    readonly drives: readonly (IdeDriveInspection | null)[]
  }[]
}

export interface IdeDriveInspection {
  readonly is: 'disk' | 'dvd'
  readonly status: number
  readonly commands: number
  readonly errors: number
}

function inspectChannel(channel: IdeChannel): IdeInspection['channels'][number] {
  const { reads, writes, interrupts, busMaster, drives } = channel
  return {
    reads,
    writes,
    interrupts,
    dmaBytes: busMaster.bytes,
    drives: drives.map((drive) =>
      drive === null
        ? null
        : {
            is: drive.isPacket ? 'dvd' : 'disk',
            status: drive.status,
            commands: drive.commands,
            errors: drive.errors,
          },
    ),
  }
}
