/** A Linux guest's console in this terminal: bytes both ways, its size, and a way out. */

/** Ctrl-]: as in telnet, since Ctrl-C is the guest's. */
const LEAVE = 0x1d
/** Ctrl-C: the host's, as long as there is no guest to hear it. */
const INTERRUPT = 0x03

type Input = NodeJS.ReadableStream & {
  readonly isTTY?: boolean
  setRawMode?(isRaw: boolean): unknown
}
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
  #isListening = false
  #isUp = false

  constructor(vm: ConsoleMachine, input: Input, output: Output) {
    this.#vm = vm
    this.#input = input
    this.#output = output
    this.#onData = (bytes) => this.#type(bytes)
    this.#onResize = () => this.#resize()
  }

  /** Before the machine is up: the way out is there from now on, and what else is typed goes nowhere. What is piped waits for the guest. */
  open(): void {
    if (this.#input.isTTY === true) this.#listen()
  }

  /** Of a machine that is up: until it ends, or the user ends it. */
  async run(): Promise<void> {
    this.#isUp = true
    this.#listen()
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

  #listen(): void {
    if (this.#isListening) return
    this.#isListening = true
    if (this.#input.isTTY === true) this.#input.setRawMode?.(true)
    this.#input.on('data', this.#onData)
  }

  #type(bytes: Buffer): void {
    if (this.#input.isTTY === true && bytes.includes(LEAVE)) {
      this.isLeft = true
      void this.#vm.turnOff()
      return
    }
    if (!this.#isUp) {
      // A raw terminal makes no signal of it.
      if (bytes.includes(INTERRUPT)) process.kill(process.pid, 'SIGINT')
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
