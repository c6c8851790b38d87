// The registers of one channel, as steps of programs.

import {
  AtaRegister,
  BusMasterRegister,
  BUS_MASTER_PORTS,
  IDE_CHANNELS,
} from '../../ide/registers.ts'
import { StepKind, type PortStep } from './port-step.ts'

export class IdePorts {
  readonly channel: 0 | 1
  readonly #step: PortStep = { kind: StepKind.IN, port: 0, size: 1, value: 0 }
  readonly #command: number
  readonly #control: number
  readonly #busMaster: number

  constructor(channel: 0 | 1, busMasterBase: number) {
    this.channel = channel
    this.#command = IDE_CHANNELS[channel].command
    this.#control = IDE_CHANNELS[channel].control
    this.#busMaster = busMasterBase + channel * (BUS_MASTER_PORTS / 2)
  }

  /** A register of the command block. */
  in(register: number): PortStep {
    return this.#set(StepKind.IN, this.#command + register, 1, 0)
  }

  out(register: number, value: number): PortStep {
    return this.#set(StepKind.OUT, this.#command + register, 1, value)
  }

  /** Four or two bytes of data. */
  inData(size: 2 | 4): PortStep {
    return this.#set(StepKind.IN, this.#command + AtaRegister.DATA, size, 0)
  }

  outData(size: 2 | 4, value: number): PortStep {
    return this.#set(StepKind.OUT, this.#command + AtaRegister.DATA, size, value)
  }

  /** Status, which takes the interrupt. */
  status(): PortStep {
    return this.in(AtaRegister.COMMAND)
  }

  alternateStatus(): PortStep {
    return this.#set(StepKind.IN, this.#control, 1, 0)
  }

  control(value: number): PortStep {
    return this.#set(StepKind.OUT, this.#control, 1, value)
  }

  busMasterCommand(value: number): PortStep {
    return this.#set(StepKind.OUT, this.#busMaster + BusMasterRegister.COMMAND, 1, value)
  }

  busMasterStatus(): PortStep {
    return this.#set(StepKind.IN, this.#busMaster + BusMasterRegister.STATUS, 1, 0)
  }

  clearBusMaster(value: number): PortStep {
    return this.#set(StepKind.OUT, this.#busMaster + BusMasterRegister.STATUS, 1, value)
  }

  table(address: number): PortStep {
    return this.#set(StepKind.OUT, this.#busMaster + BusMasterRegister.TABLE, 4, address)
  }

  /** A write there begins a command. */
  isCommand(port: number): boolean {
    return port === this.#command + AtaRegister.COMMAND
  }

  interrupt(): PortStep {
    return this.#set(StepKind.INTERRUPT, 0, 1, 0)
  }

  #set(kind: StepKind, port: number, size: 1 | 2 | 4, value: number): PortStep {
    const step = this.#step
    step.kind = kind
    step.port = port
    step.size = size
    step.value = value
    return step
  }
}
