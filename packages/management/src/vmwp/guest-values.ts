// What a guest's thread says, made harmless: it may answer with any value that structured cloning carries, at any rate. Nothing
// it says may throw here, grow without bound, or reach the main thread as more than plain data.

import type { MessagePort } from 'node:worker_threads'
import type { BootReport } from '@guestyard/child-partition/worker-protocol'
import { portEndpoint, type PortEndpoint } from '@guestyard/engine/node'

/** Characters of a guest's own words that are kept. */
const TEXT_MAX = 4_096
const CUT_MARK = ' …'

/** A thrown value as text: total, whatever was thrown, and bounded. */
export function describe(thrown: unknown): string {
  const text = textOf(thrown)
  return text.length <= TEXT_MAX ? text : text.slice(0, TEXT_MAX) + CUT_MARK
}

/** The frames by which every call comes to a guest: they say nothing of this one. */
const CALL_FRAME =
  /^ +at .*(?:node_modules\/.*comlink|(?:child-partition|engine)\/(?:src|dist)\/|node:internal)/

/** What a call of a guest's function threw: as above, with the frames of its program alone. */
export function describeCall(thrown: unknown): string {
  const lines = describe(thrown).split('\n')
  return lines.filter((line) => !CALL_FRAME.test(line)).join('\n')
}

function textOf(thrown: unknown): string {
  try {
    if (!(thrown instanceof Error)) return String(thrown)
    const { stack, message } = thrown as { stack?: unknown; message?: unknown }
    if (typeof stack === 'string') return stack
    return typeof message === 'string' ? message : 'an error without words'
  } catch {
    // An object may make its conversion to a string fail; that is all there is to say of it.
    return 'a value that can’t be shown'
  }
}

/** Messages on a guest's ports that nobody asked for: what is above ends the guest. */
export function ignoreUnasked(): void {}

export const UNASKED_MAX = 16

/**
 * A guest's control port as Comlink may see it: answers that are plain values or a thrown error pass, anything else (a proxy to
 * more ports, a handler this side knows) is as if it had not come. There is one answer to each question: `onFlood` is told, once or more,
 * when many come that nobody asked for, since a port has no other bound.
 */
export function plainAnswers(port: MessagePort, onFlood: () => void): PortEndpoint {
  let awaited = 0
  let unasked = 0
  const endpoint = portEndpoint(port, (message) => {
    if (awaited > 0) awaited -= 1
    else unasked += 1
    if (unasked > UNASKED_MAX) onFlood()
    return isPlainAnswer(message)
  })
  return {
    ...endpoint,
    postMessage: (message, transfer) => {
      awaited += 1
      endpoint.postMessage(message, transfer)
    },
  }
}

/** Comlink's wire values: RAW carries a clone, HANDLER names a handler of this side. */
function isPlainAnswer(data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return false
  const { type, name } = data as { readonly type?: unknown; readonly name?: unknown }
  return type === 'RAW' || (type === 'HANDLER' && name === 'throw')
}

/** True when a guest's boot report is one. */
export function isBootReport(value: unknown): value is BootReport {
  if (typeof value !== 'object' || value === null) return false
  const report = value as Readonly<Record<keyof BootReport, unknown>>
  const { vendor, vmbusVersion, offers, bootMs, firstChannelMs } = report
  const numbers = [vmbusVersion, offers, bootMs, firstChannelMs]
  return typeof vendor === 'string' && vendor.length <= 64 && numbers.every(Number.isFinite)
}
