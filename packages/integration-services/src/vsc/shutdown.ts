// Shutdown's guest end: takes the request, answers it, and only then tells the guest to do it.

import {
  IcMessage,
  IcStatus,
  SHUTDOWN_CLASS_ID,
  SHUTDOWN_VERSIONS,
  ShutdownBody,
  ShutdownFlags,
} from '../protocol.ts'
import type { IcResponder } from './ic-driver.ts'
import { IcVsc } from './ic-vsc.ts'

/** What the host asks for. */
export interface ShutdownOrder {
  readonly action: 'shut-down' | 'restart' | 'hibernate'
  readonly force: boolean
  /** How long it may take, seconds; 0: nothing said. */
  readonly timeoutSeconds: number
}

/** Whoever runs the guest. Called from `poll` on the guest's thread. */
export interface ShutdownListener {
  /** True when the guest does such a thing. The host is told so. */
  canDo(order: ShutdownOrder): boolean
  /** The host has its answer: now do it. */
  onOrder(order: ShutdownOrder): void
}

export class ShutdownVsc extends IcVsc {
  readonly #listener: ShutdownListener

  constructor(listener: ShutdownListener) {
    super(SHUTDOWN_CLASS_ID)
    this.#listener = listener
  }

  protected override responder(): IcResponder {
    const listener = this.#listener
    let order: ShutdownOrder | null = null
    return {
      messageType: IcMessage.SHUTDOWN,
      versions: SHUTDOWN_VERSIONS,
      serve: (body, at, length) => {
        order = null
        if (length < ShutdownBody.size) return IcStatus.INVALID_ARGUMENT
        const asked = orderOf(body, at)
        if (asked === null || !listener.canDo(asked)) return IcStatus.FAIL
        order = asked
        return IcStatus.OK
      },
      answered: () => {
        if (order !== null) listener.onOrder(order)
      },
    }
  }
}

/** Null for flags that name no action. */
function orderOf(body: DataView, at: number): ShutdownOrder | null {
  const flags = body.getUint32(at + ShutdownBody.at.flags, true)
  const timeoutSeconds = body.getUint32(at + ShutdownBody.at.timeoutSeconds, true)
  const force = (flags & ShutdownFlags.FORCE) !== 0
  switch (flags & ~ShutdownFlags.FORCE) {
    case 0:
      return { action: 'shut-down', force, timeoutSeconds }
    case ShutdownFlags.RESTART:
      return { action: 'restart', force, timeoutSeconds }
    case ShutdownFlags.HIBERNATE:
      return { action: 'hibernate', force, timeoutSeconds }
    default:
      return null
  }
}
