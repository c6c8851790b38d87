// The conversation with one guest that opened the keyboard.
//
//   state            | PROTOCOL_REQUEST | LED_INDICATORS | anything else | room in the ring
//   -----------------|------------------|----------------|---------------|-----------------------------------
//   reading-version  | -> answering     | fail           | fail          |
//   answering        | left in the ring | likewise       | likewise      | the response; -> active or, version
//                    |                  |                |               | refused, -> reading-version
//   active           | fail             | lamps set      | fail          | keystrokes that wait
//   over             |                  |                |               |
//
// "fail" is for a guest that breaks the protocol, too short a message included: its channel is closed, and it
// may open it anew. A completion packet from the guest answers nothing and is skipped.

import { assertNever } from '@guestyard/hvdef'
import type { ChannelProgram, SavedProgram } from '@guestyard/vmbus'
import { MessageEnd, Received } from '@guestyard/vmbus/message-end'
import type { ServerChannel } from '@guestyard/vmbus/server'
import {
  KEYBOARD_VERSION,
  KeyboardEvent,
  KeyboardHeader,
  KeyboardLedIndicators,
  KeyboardMessage,
  KeyboardProtocolRequest,
  KeyboardProtocolResponse,
} from '../protocol.ts'
import type { EventQueue } from './event-queue.ts'

type KeyboardState =
  | { readonly is: 'reading-version' }
  | { readonly is: 'answering'; readonly version: number }
  | { readonly is: 'active' }
  | { readonly is: 'over' }

export type KeyboardStateName = KeyboardState['is']

const TYPE = KeyboardHeader.at.messageType

/** Runs on an open keyboard channel. Root thread only. */
export class KeyboardProgram implements ChannelProgram {
  readonly #channel: ServerChannel
  readonly #end: MessageEnd
  readonly #queue: EventQueue
  readonly #onClosed: () => void
  #state: KeyboardState = { is: 'reading-version' }
  #leds = 0
  #sent = 0

  /** Keystrokes are taken from `queue`; `onClosed` is called once, by `close`. */
  constructor(channel: ServerChannel, queue: EventQueue, onClosed: () => void) {
    this.#channel = channel
    this.#end = new MessageEnd(channel, 'raw')
    this.#queue = queue
    this.#onClosed = onClosed
  }

  get state(): KeyboardStateName {
    return this.#state.is
  }

  /** `KeyboardLed` bits. */
  get leds(): number {
    return this.#leds
  }

  /** Keystrokes written to the ring. */
  get sent(): number {
    return this.#sent
  }

  poll(budget: number): number {
    let done = 0
    while (done < budget && this.#step()) done += 1
    if (this.#state.is !== 'over') this.#end.flush()
    return done
  }

  /** Writes the keystrokes that wait, as far as there is room, and signals. Between polls too. */
  sendEvents(): void {
    if (this.#state.is !== 'active') return
    while (this.#sendEvent());
    this.#end.flush()
    // No room: the next poll's arm asks the guest for a signal.
    if (this.#queue.length > 0) this.#channel.wake()
  }

  arm(): boolean {
    return this.#state.is !== 'over' && this.#end.arm(this.#state.is !== 'answering')
  }

  disarm(): void {
    if (this.#state.is !== 'over') this.#end.disarm()
  }

  /** Null while a handshake is under way, or keystrokes wait. */
  save(): SavedProgram | null {
    const { is } = this.#state
    const isQuiet = this.#end.isQuiet && this.#queue.length === 0
    if (!isQuiet || (is !== 'active' && is !== 'reading-version')) return null
    return { version: 1, state: is, leds: this.#leds }
  }

  restore({ version, state, leds }: SavedProgram): boolean {
    if (version !== 1 || (state !== 'active' && state !== 'reading-version')) return false
    this.#state = { is: state }
    this.#leds = Number(leds) & 0xffff
    return true
  }

  close(): void {
    this.#state = { is: 'over' }
    this.#onClosed()
  }

  /** One packet in or out; false when there is nothing that can be done now. */
  #step(): boolean {
    const state = this.#state
    switch (state.is) {
      case 'reading-version':
        return this.#receive()
      case 'answering':
        return this.#answer(state.version)
      case 'active':
        return this.#sendEvent() || this.#receive()
      case 'over':
        return false
      default:
        return assertNever(state)
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
        this.#fail('a packet of a type that a keyboard does not know')
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
    const end = this.#end
    if (end.length < KeyboardHeader.size) return this.#fail('a message without a type')
    const type = end.message.getUint32(end.at + TYPE, true)
    switch (type) {
      case KeyboardMessage.PROTOCOL_REQUEST:
        return this.#onProtocolRequest()
      case KeyboardMessage.LED_INDICATORS:
        return this.#onLedIndicators()
      default:
        return this.#fail(`a message of type ${type}`)
    }
  }

  #onProtocolRequest(): void {
    const end = this.#end
    if (end.length < KeyboardProtocolRequest.size) return this.#fail('a short protocol request')
    if (this.#state.is !== 'reading-version') return this.#fail('a second protocol request')
    this.#state = {
      is: 'answering',
      version: end.message.getUint32(end.at + KeyboardProtocolRequest.at.version, true),
    }
  }

  #onLedIndicators(): void {
    const end = this.#end
    if (end.length < KeyboardLedIndicators.size) return this.#fail('a short lamp message')
    if (this.#state.is !== 'active') return this.#fail('lamps before a version')
    this.#leds = end.message.getUint16(end.at + KeyboardLedIndicators.at.ledFlags, true)
  }

  #answer(version: number): boolean {
    const end = this.#end
    const accepted = version === KEYBOARD_VERSION
    KeyboardProtocolResponse.encode(end.out, end.outAt, {
      messageType: KeyboardMessage.PROTOCOL_RESPONSE,
      accepted: accepted ? 1 : 0,
    })
    if (!end.send(KeyboardProtocolResponse.size, false)) return false
    // A refused guest may ask for another version.
    this.#state = accepted ? { is: 'active' } : { is: 'reading-version' }
    return true
  }

  #sendEvent(): boolean {
    const queue = this.#queue
    if (queue.length === 0) return false
    const end = this.#end
    KeyboardEvent.encode(end.out, end.outAt, {
      messageType: KeyboardMessage.EVENT,
      makeCode: queue.peek(0),
      flags: queue.peek(1),
    })
    if (!end.send(KeyboardEvent.size, false)) return false
    queue.shift()
    this.#sent += 1
    return true
  }

  #fail(what: string): void {
    this.#state = { is: 'over' }
    this.#channel.fail(`keyboard: the guest sent ${what}`)
  }
}
