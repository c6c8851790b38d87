/** A Linux guest's console in this terminal: bytes both ways, its size, and a way out. */

import type { ReadStream } from 'node:tty'

/** Ctrl-]: as in telnet, since Ctrl-C is the guest's. */
const LEAVE = 0x1d

type Input = NodeJS.ReadableStream & Partial<Pick<ReadStream, 'isTTY' | 'setRawMode'>>
type Output = NodeJS.WritableStream & {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

/** The machine whose console it is: a VM of a host, or a session in virtual time. */
export interface ConsoleMachine {
  /** Bytes in order, null when there will be no more. */
  readConsole(): Promise<Uint8Array | null>
  writeConsole(bytes: Uint8Array): Promise<void>
  exec(script: string): Promise<unknown>
  turnOff(): Promise<void>
  /** Resolves when the machine has ended. */
  readonly exit: Promise<unknown>
}

export class LinuxConsole {
  /** The user asked to end the machine. */
  isLeft = false
  readonly #vm: ConsoleMachine
  readonly #input: Input
  readonly #output: Output
  readonly #onData: (bytes: Buffer) => void
  readonly #onResize: () => void

  constructor(vm: ConsoleMachine, input: Input, output: Output) {
    this.#vm = vm
    this.#input = input
    this.#output = output
    this.#onData = (bytes) => this.#type(bytes)
    this.#onResize = () => this.#resize()
  }

  /** Until the machine ends, or the user ends it. */
  async run(): Promise<void> {
    this.#input.setRawMode?.(true)
    this.#input.on('data', this.#onData)
    this.#output.on('resize', this.#onResize)
    this.#resize()
    // A shell that was there before its terminal was: it shows its prompt again.
    this.#type(Buffer.from('\n'))
    try {
      for (;;) {
        const bytes = await this.#vm.readConsole()
        if (bytes === null) break
        this.#output.write(bytes)
      }
    } catch {
      // The machine is gone, and its end says why.
    }
    await this.#vm.exit
  }

  dispose(): void {
    this.#input.off('data', this.#onData)
    this.#output.off('resize', this.#onResize)
    this.#input.setRawMode?.(false)
    ;(this.#input as { unref?: () => void }).unref?.()
    this.#input.pause()
  }

  #type(bytes: Buffer): void {
    const at = this.#input.isTTY === true ? bytes.indexOf(LEAVE) : -1
    if (at >= 0) {
      this.isLeft = true
      void this.#vm.turnOff()
      return
    }
    // What is typed while the machine ends goes nowhere.
    this.#vm.writeConsole(Uint8Array.from(bytes)).catch(() => {})
  }

  #resize(): void {
    const { isTTY, columns = 80, rows = 24 } = this.#output
    if (isTTY !== true) return
    this.#vm.exec(`stty -F /dev/ttyS0 rows ${rows} cols ${columns}`).catch(() => {})
  }
}
