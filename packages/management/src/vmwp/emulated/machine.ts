// The devices that a VM's worker process emulates, and the loop that answers for them.

import type { Remote } from 'comlink'
import type { RootServices } from '@guestyard/root-partition/worker-protocol'

import { DeviceBus } from './device-bus.ts'
import { POST_PORT, PostPort } from './post-port.ts'
import { COM1, SERIAL_REGISTERS, SerialPort } from './serial-port.ts'

/** The serial port's registers in memory, a byte each: for guests that have no port instructions. */
const SERIAL_MEMORY = 0xfed0_3000

/** A machine's bus with what is on it: the POST port, and a serial port whose lines go to `onLine`. */
export function emulatedMachine(onLine: (line: string) => void): DeviceBus {
  const bus = new DeviceBus()
  const serial = new SerialPort(onLine)
  bus.atPorts(POST_PORT, 1, new PostPort())
  bus.atPorts(COM1, SERIAL_REGISTERS, serial)
  bus.atMemory(SERIAL_MEMORY, SERIAL_REGISTERS, serial)
  return bus
}

/** Answers a partition's exits until the partition is gone. Rejects when the root does. */
export async function serveExits(
  root: Pick<Remote<RootServices>, 'nextExits' | 'completeExit'>,
  partitionId: number,
  bus: DeviceBus,
): Promise<void> {
  for (;;) {
    const exits = await root.nextExits(partitionId)
    if (exits.length === 0) return
    const answered = exits.map((exit) =>
      root.completeExit(partitionId, exit.vp, exit.sequence, bus.answer(exit)),
    )
    await Promise.all(answered)
  }
}
