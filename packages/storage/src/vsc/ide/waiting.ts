// How programs wait for a drive. A drive that never comes is the host's doing; what does not need an interrupt is asked a bounded number
// of times.

import { AtaRegister, AtaStatus } from '../../ide/registers.ts'
import type { IdePorts } from './ide-ports.ts'
import type { PortProgram } from './port-step.ts'

const POLLS_MAX = 1000

/** Waits for the channel's interrupt. Status, whose BSY is clear: an interrupt that finds a busy drive was another's. */
export function* attention(ports: IdePorts): PortProgram<number> {
  for (;;) {
    yield ports.interrupt()
    const status = yield ports.status()
    if ((status & AtaStatus.BSY) === 0) return status
  }
}

/** Waits for a drive that asks for data without an interrupt. Status: with DRQ, unless it failed or does not come. */
export function* dataRequest(ports: IdePorts): PortProgram<number> {
  for (let polls = 0; polls < POLLS_MAX; polls++) {
    const status = yield ports.alternateStatus()
    if ((status & AtaStatus.BSY) === 0) return status
  }
  return AtaStatus.ERR
}

/** Waits until BSY is clear. False when it stays. */
export function* settled(ports: IdePorts): PortProgram<boolean> {
  const status = yield* dataRequest(ports)
  return status !== AtaStatus.ERR
}

/**
 * The page of IDENTIFY after its command. False when the drive refuses. Polled: a device 1 that is not there looks like the device 0
 * that answers for it, up to here, and would never interrupt.
 */
export function* identityPage(ports: IdePorts, page: Uint8Array): PortProgram<boolean> {
  const status = yield* dataRequest(ports)
  if ((status & AtaStatus.DRQ) === 0) return false
  for (let at = 0; at < page.length; at += 4) {
    const word = yield ports.inData(4)
    for (let i = 0; i < 4; i++) page[at + i] = word >>> (i * 8)
  }
  return ((yield ports.in(AtaRegister.COMMAND)) & AtaStatus.ERR) === 0
}
