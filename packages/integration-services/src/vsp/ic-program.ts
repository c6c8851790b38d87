// The conversation of one service with one guest that opened its channel: versions first, then a request at a time.
//
//   state              | NEGOTIATE's answer            | the request's answer | another answer | room in the ring
//   -------------------|-------------------------------|----------------------|----------------|----------------------
//   offering           | ignored                       | ignored              | ignored        | -> awaiting-versions
//   awaiting-versions  | -> ready, unsupported, fail   | ignored              | ignored        |
//   ready              | ignored                       | ignored              | ignored        | -> awaiting-answer
//   awaiting-answer    | ignored                       | -> ready             | ignored        |
//   unsupported        | ignored                       | ignored              | ignored        |
//   over               |                               |                      |                |
//
// An answer that nobody waits for may be one to a request before the channel was opened anew: it is counted and skipped. What is no
// answer at all, or too short for one, fails the channel, which its guest may open again.

import { assertNever } from '@guestyard/hvdef'
import type { ChannelProgram, SavedProgram } from '@guestyard/vmbus'
import { MessageEnd, Received } from '@guestyard/vmbus/message-end'
import type { ServerChannel } from '@guestyard/vmbus/server'

import {
  FRAMEWORK_VERSIONS,
  IC_VERSION_BYTES,
  IcFlags,
  IcHeader,
  IcMessage,
  IcNegotiate,
  icVersion,
  majorOf,
  minorOf,
} from '../protocol.ts'
import type { IcVersion } from '../protocol.ts'

/** What a service asks, and what it makes of the answers. Called from polls, on the root's thread. */
export interface IcService {
  /** For reasons, such as `heartbeat`. */
  readonly name: string
  readonly messageType: IcMessage
  /** Ascending. */
  readonly versions: readonly IcVersion[]
  /** The guest speaks this version: requests may follow. Each time that the channel is opened. */
  agreed(version: IcVersion): void
  /** Composes the body of the request that is due at `at` of `out`. Its bytes; 0: none is due. Asked again while the ring is full. */
  compose(out: DataView, at: number, version: IcVersion): number
  /** What was composed last is on its way. */
  sent(): void
  /** The guest has answered: `length` bytes of body, as many as were sent or more, at `at` of a private copy. `status`: IcStatus, open. */
  answered(status: number, body: DataView, at: number): void
  /** The channel is over. What was asked is not answered any more. */
  closed(): void
}

type IcState =
  | { readonly is: 'offering' }
  | { readonly is: 'awaiting-versions' }
  | { readonly is: 'ready'; readonly agreed: Agreed }
  | { readonly is: 'awaiting-answer'; readonly agreed: Agreed; readonly bodyBytes: number }
  | { readonly is: 'unsupported' }
  | { readonly is: 'over' }

interface Agreed {
  readonly framework: IcVersion
  readonly version: IcVersion
}

export type IcStateName = IcState['is']

/** What is written into a header beside what never changes. */
interface Heading {
  readonly type: IcMessage
  readonly framework: IcVersion
  readonly version: IcVersion
  readonly bodyBytes: number
}

/** Runs on an open channel of one service. Root thread only. */
export class IcProgram implements ChannelProgram {
  readonly #channel: ServerChannel
  readonly #end: MessageEnd
  readonly #service: IcService
  readonly #onClosed: () => void
  #state: IcState = { is: 'offering' }
  /** Of the latest request, 0 to 255. */
  #transaction = 0
  #ignored = 0

  /** `onClosed` is called once, by `close`. */
  constructor(channel: ServerChannel, service: IcService, onClosed: () => void) {
    this.#channel = channel
    this.#end = new MessageEnd(channel, 'pipe')
    this.#service = service
    this.#onClosed = onClosed
  }

  get state(): IcStateName {
    return this.#state.is
  }

  /** The version agreed on, 0 while there is none. */
  get version(): IcVersion {
    const state = this.#state
    return state.is === 'ready' || state.is === 'awaiting-answer' ? state.agreed.version : 0
  }

  /** Answers that nobody waited for. */
  get ignored(): number {
    return this.#ignored
  }

  /** There may be a request to send. */
  wake(): void {
    if (this.#state.is !== 'over') this.#channel.wake()
  }

  poll(budget: number): number {
    let done = 0
    while (done < budget && this.#step()) done += 1
    if (this.#state.is !== 'over') this.#end.flush()
    return done
  }

  arm(): boolean {
    return this.#state.is !== 'over' && this.#end.arm(true)
  }

  disarm(): void {
    if (this.#state.is !== 'over') this.#end.disarm()
  }

  /** Nothing: a service that goes on agrees on versions again, which a guest answers at any time, and tells it the time. */
  save(): SavedProgram | null {
    return this.#state.is === 'over' || !this.#end.isQuiet ? null : { version: 1 }
  }

  restore({ version }: SavedProgram): boolean {
    return version === 1
  }

  close(): void {
    this.#state = { is: 'over' }
    this.#onClosed()
    this.#service.closed()
  }

  /** One packet in or out; false when there is nothing that can be done now. */
  #step(): boolean {
    const state = this.#state
    switch (state.is) {
      case 'offering':
        return this.#offerVersions()
      case 'ready':
        return this.#ask(state.agreed) || this.#receive()
      case 'awaiting-versions':
      case 'awaiting-answer':
      case 'unsupported':
        return this.#receive()
      case 'over':
        return false
      default:
        return assertNever(state)
    }
  }

  #offerVersions(): boolean {
    const { out, outAt } = this.#end
    const { versions } = this.#service
    const offered = [...FRAMEWORK_VERSIONS, ...versions]
    const bodyAt = outAt + IcHeader.size
    const bodyBytes = IcNegotiate.size + offered.length * IC_VERSION_BYTES
    IcNegotiate.encode(out, bodyAt, {
      frameworkCount: FRAMEWORK_VERSIONS.length,
      messageCount: versions.length,
    })
    for (const [index, version] of offered.entries()) {
      const at = bodyAt + IcNegotiate.size + index * IC_VERSION_BYTES
      out.setUint16(at, majorOf(version), true)
      out.setUint16(at + 2, minorOf(version), true)
    }
    const heading = {
      type: IcMessage.NEGOTIATE,
      framework: FRAMEWORK_VERSIONS[0]!,
      version: versions[0]!,
      bodyBytes,
    }
    if (!this.#send(heading)) return false
    this.#state = { is: 'awaiting-versions' }
    return true
  }

  #ask(agreed: Agreed): boolean {
    const { out, outAt } = this.#end
    const service = this.#service
    const bodyBytes = service.compose(out, outAt + IcHeader.size, agreed.version)
    if (bodyBytes === 0) return false
    if (!this.#send({ type: service.messageType, ...agreed, bodyBytes })) return false
    this.#state = { is: 'awaiting-answer', agreed, bodyBytes }
    service.sent()
    return true
  }

  #send({ type, framework, version, bodyBytes }: Heading): boolean {
    const { out, outAt } = this.#end
    const transactionId = (this.#transaction + 1) & 0xff
    IcHeader.encode(out, outAt, {
      frameworkMajor: majorOf(framework),
      frameworkMinor: minorOf(framework),
      messageType: type,
      messageMajor: majorOf(version),
      messageMinor: minorOf(version),
      messageSize: bodyBytes,
      status: 0,
      transactionId,
      flags: IcFlags.TRANSACTION | IcFlags.REQUEST,
    })
    if (!this.#end.send(IcHeader.size + bodyBytes, false, transactionId)) return false
    this.#transaction = transactionId
    return true
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
        this.#fail('a packet that no pipe carries')
        return true
      case Received.FAULT:
        this.#state = { is: 'over' }
        this.#channel.fail(this.#end.fault)
        return true
      default:
        return assertNever(received)
    }
  }

  #onMessage(): void {
    const { message, at, length } = this.#end
    if (length < IcHeader.size) return this.#fail('a message without a header')
    const header = IcHeader.decode(message, at)
    if ((header.flags & IcFlags.RESPONSE) === 0) return this.#fail('a request')
    const state = this.#state
    const isExpected = header.transactionId === this.#transaction
    if (
      state.is === 'awaiting-versions' &&
      isExpected &&
      header.messageType === IcMessage.NEGOTIATE
    ) {
      this.#agree(message, at + IcHeader.size, length - IcHeader.size)
    } else if (
      state.is === 'awaiting-answer' &&
      isExpected &&
      header.messageType === this.#service.messageType
    ) {
      if (length - IcHeader.size < state.bodyBytes) return this.#fail('a short answer')
      this.#state = { is: 'ready', agreed: state.agreed }
      this.#service.answered(header.status, message, at + IcHeader.size)
    } else {
      this.#ignored += 1
    }
  }

  /** The guest chose one of each, or said that it knows none. */
  #agree(message: DataView, at: number, length: number): void {
    if (length < IcNegotiate.size) return this.#fail('a short answer')
    const { frameworkCount, messageCount } = IcNegotiate.decode(message, at)
    if (frameworkCount === 0 || messageCount === 0) {
      this.#state = { is: 'unsupported' }
      return
    }
    if (frameworkCount !== 1 || messageCount !== 1) {
      return this.#fail('a choice of several versions')
    }
    if (length < IcNegotiate.size + 2 * IC_VERSION_BYTES) return this.#fail('a short answer')
    const chosenAt = at + IcNegotiate.size
    const framework = readVersion(message, chosenAt)
    const version = readVersion(message, chosenAt + IC_VERSION_BYTES)
    if (!FRAMEWORK_VERSIONS.includes(framework) || !this.#service.versions.includes(version)) {
      return this.#fail('a version that was not offered')
    }
    this.#state = { is: 'ready', agreed: { framework, version } }
    this.#service.agreed(version)
  }

  #fail(what: string): void {
    this.#state = { is: 'over' }
    this.#channel.fail(`${this.#service.name}: the guest sent ${what}`)
  }
}

function readVersion(message: DataView, at: number): IcVersion {
  return icVersion(message.getUint16(at, true), message.getUint16(at + 2, true))
}
