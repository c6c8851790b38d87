// Waiting on a port: spin a little, then sleep. For whoever uses a ring alone; package engine has
// its own loop.

import type { WaitEnd } from './doorbell.ts'
import { RingFault } from './ring-fault.ts'
import type { RingPort } from './ring-link.ts'

export interface WaitOptions {
  /**
   * Microseconds to spin before sleeping, 20 when left out. Spinning answers in a fraction of a
   * microsecond, waking up takes about 50.
   */
  readonly spinMicroseconds?: number
  /** Milliseconds after which a wait gives up; never when left out. */
  readonly timeoutMs?: number
}

/** `ready`: there is what was waited for. `fault`: the ring end is dead. */
export type RingWaitEnd = 'ready' | 'fault' | 'stopped' | 'timed-out'

const SPIN_MICROSECONDS = 20
/** Looks between two looks at the clock: about a microsecond. */
const SPIN_TURNS = 400

/** Blocks this thread until a packet can be drained. Not on a browser's main thread. */
export function waitForPackets(port: RingPort, options: WaitOptions = {}): RingWaitEnd {
  for (;;) {
    const sample = port.doorbell.sample()
    const ready = packetsOrArmed(port, options)
    if (ready !== undefined) return ready
    const end = port.doorbell.waitBlocking(sample, options.timeoutMs)
    port.incoming.mask()
    if (end !== 'rung') return endOf(end, port.incoming.spin(1))
  }
}

/** As `waitForPackets`, for a thread with an event loop. */
export async function waitForPacketsAsync(
  port: RingPort,
  options: WaitOptions = {},
): Promise<RingWaitEnd> {
  for (;;) {
    const sample = port.doorbell.sample()
    const ready = packetsOrArmed(port, options)
    if (ready !== undefined) return ready
    const end = await port.doorbell.waitAsync(sample, options.timeoutMs)
    port.incoming.mask()
    if (end !== 'rung') return endOf(end, port.incoming.spin(1))
  }
}

/**
 * Blocks this thread until `bytes` (`outgoing.neededBytes`) are free. What was written must be
 * committed.
 */
export function waitForSpace(
  port: RingPort,
  bytes: number,
  options: WaitOptions = {},
): RingWaitEnd {
  for (;;) {
    const sample = port.doorbell.sample()
    const ready = spaceOrArmed(port, bytes, options)
    if (ready !== undefined) return ready
    const end = port.doorbell.waitBlocking(sample, options.timeoutMs)
    port.outgoing.clearPendingSendSize()
    if (end !== 'rung') return endOf(end, port.outgoing.writableBytes() >= bytes)
  }
}

/** As `waitForSpace`, for a thread with an event loop. */
export async function waitForSpaceAsync(
  port: RingPort,
  bytes: number,
  options: WaitOptions = {},
): Promise<RingWaitEnd> {
  for (;;) {
    const sample = port.doorbell.sample()
    const ready = spaceOrArmed(port, bytes, options)
    if (ready !== undefined) return ready
    const end = await port.doorbell.waitAsync(sample, options.timeoutMs)
    port.outgoing.clearPendingSendSize()
    if (end !== 'rung') return endOf(end, port.outgoing.writableBytes() >= bytes)
  }
}

/** Spins, then asks for a signal. Undefined: nothing there, and the peer will ring. */
function packetsOrArmed(port: RingPort, options: WaitOptions): RingWaitEnd | undefined {
  const { incoming } = port
  if (incoming.commit()) port.peerDoorbell.ring()
  const spinMs = (options.spinMicroseconds ?? SPIN_MICROSECONDS) / 1000
  if (incoming.spin(1)) return 'ready'
  if (spinMs > 0) {
    const until = performance.now() + spinMs
    do {
      if (incoming.spin(SPIN_TURNS)) return 'ready'
    } while (performance.now() < until)
  }
  if (incoming.fault !== RingFault.NONE) return 'fault'
  if (port.doorbell.stopped) return 'stopped'
  if (!incoming.unmask()) return undefined
  incoming.mask()
  return 'ready'
}

function spaceOrArmed(
  port: RingPort,
  bytes: number,
  options: WaitOptions,
): RingWaitEnd | undefined {
  const { outgoing } = port
  const spinMs = (options.spinMicroseconds ?? SPIN_MICROSECONDS) / 1000
  if (outgoing.writableBytes() >= bytes) return 'ready'
  if (spinMs > 0) {
    const until = performance.now() + spinMs
    do {
      outgoing.spin(SPIN_TURNS)
      if (outgoing.writableBytes() >= bytes) return 'ready'
    } while (performance.now() < until)
  }
  if (outgoing.fault !== RingFault.NONE) return 'fault'
  if (port.doorbell.stopped) return 'stopped'
  const isThere = outgoing.setPendingSendSize(bytes)
  if (outgoing.fault !== RingFault.NONE) return 'fault'
  return isThere ? 'ready' : undefined
}

function endOf(end: WaitEnd, ready: boolean): RingWaitEnd {
  if (ready) return 'ready'
  return end === 'stopped' ? 'stopped' : 'timed-out'
}
