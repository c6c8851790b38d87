// The guest's end of any service: agrees on versions, hands each request to whoever serves it, and answers in the buffer it was asked in.
//
//   state       | NEGOTIATE              | the service's request    | anything else      | room in the ring
//   ------------|------------------------|--------------------------|--------------------|-----------------
//   reading     | composed, -> answering | served, -> answering     | refused or ignored |
//   answering   | left in the ring       | likewise                 | likewise           | the answer, -> reading
//   failed      |                        |                          |                    |
//   over        |                        |                          |                    |
//
// A guest is lenient, as Linux is: what it does not understand is counted as ignored and skipped. A request of a type that it does not
// serve, or before a version is agreed on, is answered with a status.

import { assertNever } from '@guestyard/hvdef'
import { ringFaultName } from '@guestyard/ring'
import type { Channel, ChannelProgram } from '@guestyard/vmbus'
import { MessageEnd, Received } from '@guestyard/vmbus/message-end'

import {
  FRAMEWORK_VERSIONS,
  IC_VERSIONS_MAX,
  IC_VERSION_BYTES,
  IcFlags,
  IcHeader,
  IcMessage,
  IcNegotiate,
  IcStatus,
  icVersion,
  majorOf,
  minorOf,
} from '../protocol.ts'
import type { IcVersion } from '../protocol.ts'

/** Serves one kind of request. Called from `poll` on the guest's thread. */
export interface IcResponder {
  readonly messageType: IcMessage
  /** Versions that it speaks, ascending. */
  readonly versions: readonly IcVersion[]
  /** Serves the request in the `length` bytes at `at` of `body`, and writes its answer over it. An IcStatus. */
  serve(body: DataView, at: number, length: number, version: IcVersion): number
  /** The answer to the latest request is on its way. */
  answered?(): void
  /** The service will not work; `reason` is one line. */
  onFailed?(reason: string): void
}

export type IcDriverState = 'closed' | 'reading' | 'answering' | 'failed' | 'over'

/** Runs on an open channel of one service. */
export class IcDriver implements ChannelProgram {
  readonly #end: MessageEnd
  readonly #responder: IcResponder
  #state: Exclude<IcDriverState, 'closed'> = 'reading'
  /** Bytes of the answer that is composed, and the ring transaction that it answers. */
  #answerBytes = 0
  #tidLow = 0
  #tidHigh = 0
  /** The answer is to the service's own request. */
  #isService = false
  #version: IcVersion = 0
  #ignored = 0

  constructor(channel: Channel, responder: IcResponder) {
    this.#end = new MessageEnd(channel, 'pipe')
    this.#responder = responder
  }

  get state(): Exclude<IcDriverState, 'closed'> {
    return this.#state
  }

  /** The version agreed on, 0 while there is none. */
  get version(): IcVersion {
    return this.#version
  }

  /** Messages that were skipped. */
  get ignored(): number {
    return this.#ignored
  }

  poll(budget: number): number {
    let done = 0
    while (done < budget && this.#step()) done += 1
    if (this.#isAlive()) this.#end.flush()
    return done
  }

  arm(): boolean {
    return this.#isAlive() && this.#end.arm(this.#state !== 'answering')
  }

  disarm(): void {
    if (this.#isAlive()) this.#end.disarm()
  }

  close(): void {
    this.#state = 'over'
  }

  #isAlive(): boolean {
    return this.#state !== 'failed' && this.#state !== 'over'
  }

  #step(): boolean {
    switch (this.#state) {
      case 'reading':
        return this.#receive()
      case 'answering':
        return this.#answer()
      case 'failed':
      case 'over':
        return false
      default:
        return assertNever(this.#state)
    }
  }

  #receive(): boolean {
    const received = this.#end.receive()
    switch (received) {
      case Received.NOTHING:
      case Received.NO_ROOM:
        return false
      case Received.MESSAGE:
        this.#onMessage()
        return true
      case Received.COMPLETION:
        return true
      case Received.MALFORMED:
        this.#ignored += 1
        return true
      case Received.FAULT:
        this.#state = 'failed'
        this.#responder.onFailed?.(`the ring broke: ${ringFaultName(this.#end.fault)}`)
        return true
      default:
        return assertNever(received)
    }
  }

  #onMessage(): void {
    const end = this.#end
    const { message, at, length } = end
    if (length < IcHeader.size || length > end.outBytesMax) {
      this.#ignored += 1
      return
    }
    const header = IcHeader.decode(message, at)
    if ((header.flags & IcFlags.REQUEST) === 0) {
      this.#ignored += 1
      return
    }
    // The answer is the request, in its own length, with what the service writes over it.
    const { out, outAt } = end
    copyBytes(message, at, out, outAt, length)
    const bodyAt = outAt + IcHeader.size
    const bodyBytes = length - IcHeader.size
    this.#isService = false
    const status =
      header.messageType === IcMessage.NEGOTIATE
        ? this.#negotiate(out, bodyAt, bodyBytes)
        : this.#serve(header.messageType, out, bodyAt, bodyBytes)
    out.setUint32(outAt + IcHeader.at.status, status, true)
    out.setUint8(outAt + IcHeader.at.flags, IcFlags.TRANSACTION | IcFlags.RESPONSE)
    this.#answerBytes = length
    this.#tidLow = end.tidLow
    this.#tidHigh = end.tidHigh
    this.#state = 'answering'
  }

  #serve(type: number, out: DataView, bodyAt: number, bodyBytes: number): number {
    const responder = this.#responder
    if (type !== responder.messageType) return IcStatus.NOT_SUPPORTED
    if (this.#version === 0) return IcStatus.FAIL
    this.#isService = true
    return responder.serve(out, bodyAt, bodyBytes, this.#version)
  }

  /** The highest of ours that the host offers, of both kinds; counts of 0 when there is none. */
  #negotiate(out: DataView, bodyAt: number, bodyBytes: number): number {
    if (bodyBytes < IcNegotiate.size) return IcStatus.INVALID_ARGUMENT
    const { frameworkCount, messageCount } = IcNegotiate.decode(out, bodyAt)
    const count = frameworkCount + messageCount
    const fits = IcNegotiate.size + count * IC_VERSION_BYTES <= bodyBytes
    if (count > IC_VERSIONS_MAX || !fits) return IcStatus.INVALID_ARGUMENT
    const offeredAt = bodyAt + IcNegotiate.size
    const messagesAt = offeredAt + frameworkCount * IC_VERSION_BYTES
    const framework = highestOf(FRAMEWORK_VERSIONS, out, offeredAt, frameworkCount)
    const version = highestOf(this.#responder.versions, out, messagesAt, messageCount)
    const isAgreed = framework > 0 && version > 0
    this.#version = isAgreed ? version : 0
    IcNegotiate.encode(out, bodyAt, {
      frameworkCount: isAgreed ? 1 : 0,
      messageCount: isAgreed ? 1 : 0,
    })
    if (isAgreed) {
      writeVersion(out, offeredAt, framework)
      writeVersion(out, offeredAt + IC_VERSION_BYTES, version)
    }
    return IcStatus.OK
  }

  #answer(): boolean {
    if (!this.#end.send(this.#answerBytes, false, this.#tidLow, this.#tidHigh)) return false
    this.#state = 'reading'
    if (this.#isService) this.#responder.answered?.()
    return true
  }
}

/** The highest of `known`, which ascends, among `count` versions at `at`; 0: none of them. */
function highestOf(
  known: readonly IcVersion[],
  view: DataView,
  at: number,
  count: number,
): IcVersion {
  let highest = 0
  for (let index = 0; index < count; index++) {
    const versionAt = at + index * IC_VERSION_BYTES
    const offered = icVersion(view.getUint16(versionAt, true), view.getUint16(versionAt + 2, true))
    if (offered > highest && known.includes(offered)) highest = offered
  }
  return highest
}

function writeVersion(view: DataView, at: number, version: IcVersion): void {
  view.setUint16(at, majorOf(version), true)
  view.setUint16(at + 2, minorOf(version), true)
}

function copyBytes(from: DataView, at: number, to: DataView, toAt: number, length: number): void {
  new Uint8Array(to.buffer, to.byteOffset + toAt, length).set(
    new Uint8Array(from.buffer, from.byteOffset + at, length),
  )
}
