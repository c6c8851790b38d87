/**
 * What a guest says a load found, checked before anything is computed from it: a guest is hostile, and
 * may answer with any plain data. Its figures may still be lies; they are finite numbers of the right kind.
 */

import type { LoadResult } from '@guestyard/load-device/protocol'
import * as v from 'valibot'

import { show } from '../quantity.ts'
import { LATENCY_TEXT_MAX, readLatency } from './latency-encoding.ts'

/** The part of a `LoadResult` that reports are made of. */
export type GuestResult = Pick<
  LoadResult,
  | 'packets'
  | 'bytes'
  | 'elapsedNs'
  | 'sequenceErrors'
  | 'peerSequenceErrors'
  | 'packetsMissing'
  | 'signalsSent'
  | 'signalsReceived'
  | 'fullRingWaits'
  | 'peerFullRingWaits'
  | 'wakes'
  | 'peerWakes'
  | 'guestCpu'
  | 'heapBytesPerPacket'
> & { readonly latency: { readonly histogram: string } | null }

const notAFigure = (issue: { readonly input: unknown }): string =>
  `expected a number of at least 0, got ${show(issue.input)}`
const notANumber = (issue: { readonly input: unknown }): string =>
  `expected a number, got ${show(issue.input)}`

/** So that sums over all guests and repeats stay finite, and exact enough. */
const most = v.maxValue<number, number, typeof notAFigure>(Number.MAX_SAFE_INTEGER, notAFigure)
const figure = v.pipe(v.number(notAFigure), v.minValue(0, notAFigure), most)
const signedFigure = v.pipe(
  v.number(notANumber),
  v.minValue(-Number.MAX_SAFE_INTEGER, notANumber),
  most,
)

const histogram = v.pipe(
  v.string((issue) => `expected text, got ${show(issue.input)}`),
  // The message must not quote what is too long.
  v.maxLength(LATENCY_TEXT_MAX, `longer than ${LATENCY_TEXT_MAX} characters`),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed || dataset.value.length > LATENCY_TEXT_MAX) return
    const read = readLatency(dataset.value)
    if (!read.ok) addIssue({ message: read.problem })
  }),
)

const schema = v.object(
  {
    packets: figure,
    bytes: figure,
    elapsedNs: figure,
    sequenceErrors: figure,
    peerSequenceErrors: figure,
    packetsMissing: signedFigure,
    signalsSent: figure,
    signalsReceived: figure,
    fullRingWaits: figure,
    peerFullRingWaits: figure,
    wakes: figure,
    peerWakes: figure,
    latency: v.nullable(v.object({ histogram }, 'expected an object or null')),
    guestCpu: v.nullable(
      v.object(
        { userMicroseconds: figure, systemMicroseconds: figure },
        'expected an object or null',
      ),
    ),
    heapBytesPerPacket: v.nullable(signedFigure),
  },
  'expected an object',
)

/** The result of the guest `vm`, or a throw with one line that names guest, field and reason. */
export function checkGuestResult(vm: string, result: unknown): GuestResult {
  const parsed = v.safeParse(schema, result, { abortEarly: true })
  if (parsed.success) return parsed.output
  const [issue] = parsed.issues
  const field = v.getDotPath(issue)
  const where = field === null ? '' : `${field}: `
  const missing = field !== null && issue.type === 'object' && issue.received === 'undefined'
  const problem = missing ? 'is missing' : issue.message
  throw new Error(`the result of ${vm} makes no sense: ${where}${problem}`)
}
