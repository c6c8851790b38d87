// The synthetic keyboard's guest end.
//
//   state               | PROTOCOL_RESPONSE           | EVENT            | other or short     | room in the ring
//   --------------------|-----------------------------|------------------|--------------------|------------------
//   requesting          | counted                     | counted          | counted            | -> awaiting-response
//   awaiting-response   | -> active | failed          | counted          | counted            |
//   active              | counted                     | onKey            | counted            | lamps
//   failed              |                             |                  |                    |
//   over                |                             |                  |                    |
//
// A guest is lenient, as Linux is: a message it does not expect is counted as ignored and skipped.

import { assertNever } from '@guestyard/hvdef'
import { ringFaultName } from '@guestyard/ring'
import type { Channel, ChannelProgram } from '@guestyard/vmbus'
import { MessageEnd, Received } from '@guestyard/vmbus/message-end'
import {
  INPUT_RING_BYTES,
  KEYBOARD_CLASS_ID,
  KEYBOARD_VERSION,
  KeyboardEvent,
  KeyboardHeader,
  KeyboardLedIndicators,
  KeyboardMessage,
  KeyboardProtocolRequest,
  KeyboardProtocolResponse,
} from '../protocol.ts'

/** Whoever uses the keyboard. Called from `poll` on the guest's thread, in the order of events. */
export interface KeyboardListener {
  /** A keystroke: make code (or UTF-16 unit) and `KeyFlags`. */
  onKey(makeCode: number, flags: number): void
  /** The host accepted the protocol; keystrokes may follow. */
  onReady?(): void
  /** The keyboard will not work; `reason` is one line. */
  onFailed?(reason: string): void
}

export type KeyboardVscState =
  | 'closed'
  | 'requesting'
  | 'awaiting-response'
  | 'active'
  | 'failed'
  | 'over'

/** Keyboard driver of one guest: `bind` it to the channel when that is open. */
export class KeyboardVsc {
  readonly classId = KEYBOARD_CLASS_ID
  /** Data bytes of the rings to open the channel with. */
  readonly sendBytes = INPUT_RING_BYTES
  readonly receiveBytes = INPUT_RING_BYTES
  readonly #listener: KeyboardListener
  #program: KeyboardVscProgram | undefined

  constructor(listener: KeyboardListener) {
    this.#listener = listener
  }

  get state(): KeyboardVscState {
    return this.#program?.state ?? 'closed'
  }

  /** Messages that were skipped because they were short, unknown or came at the wrong time. */
  get ignored(): number {
    return this.#program?.ignored ?? 0
  }

  /** Starts the conversation on a channel that has just opened; a former channel is forgotten. */
  bind(channel: Channel): ChannelProgram {
    const program = new KeyboardVscProgram(channel, this.#listener)
    this.#program = program
    return program
  }

  /** Sets the lamps (`KeyboardLed` bits). False when there is no room now or the keyboard is not active. */
  setLeds(flags: number): boolean {
    return this.#program?.sendLeds(flags) ?? false
  }
}

class KeyboardVscProgram implements ChannelProgram {
  readonly #end: MessageEnd
  readonly #listener: KeyboardListener
  #state: Exclude<KeyboardVscState, 'closed'> = 'requesting'
  #ignored = 0

  constructor(channel: Channel, listener: KeyboardListener) {
    this.#end = new MessageEnd(channel, 'raw')
    this.#listener = listener
    // The ring is fresh: the request goes out before anybody polls.
    this.#step()
    this.#end.flush()
  }

  get state(): Exclude<KeyboardVscState, 'closed'> {
    return this.#state
  }

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
    return this.#isAlive() && this.#end.arm(this.#state !== 'requesting')
  }

  disarm(): void {
    if (this.#isAlive()) this.#end.disarm()
  }

  close(): void {
    this.#state = 'over'
  }

  sendLeds(flags: number): boolean {
    if (this.#state !== 'active') return false
    const end = this.#end
    KeyboardLedIndicators.encode(end.out, end.outAt, {
      messageType: KeyboardMessage.LED_INDICATORS,
      ledFlags: flags & 0xffff,
    })
    const sent = end.send(KeyboardLedIndicators.size, false)
    end.flush()
    return sent
  }

  #isAlive(): boolean {
    return this.#state !== 'failed' && this.#state !== 'over'
  }

  #step(): boolean {
    switch (this.#state) {
      case 'requesting':
        return this.#request()
      case 'awaiting-response':
      case 'active':
        return this.#receive()
      case 'failed':
      case 'over':
        return false
      default:
        return assertNever(this.#state)
    }
  }

  #request(): boolean {
    const end = this.#end
    KeyboardProtocolRequest.encode(end.out, end.outAt, {
      messageType: KeyboardMessage.PROTOCOL_REQUEST,
      version: KEYBOARD_VERSION,
    })
    if (!end.send(KeyboardProtocolRequest.size, true)) return false
    this.#state = 'awaiting-response'
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
        this.#ignored += 1
        return true
      case Received.FAULT:
        this.#fail(`the ring broke: ${ringFaultName(this.#end.fault)}`)
        return true
      default:
        return assertNever(received)
    }
  }

  #onMessage(): void {
    const { message, at, length } = this.#end
    const type = length < KeyboardHeader.size ? 0 : message.getUint32(at, true)
    const state = this.#state
    if (type === KeyboardMessage.EVENT && length >= KeyboardEvent.size && state === 'active') {
      const makeCode = message.getUint16(at + KeyboardEvent.at.makeCode, true)
      this.#listener.onKey(makeCode, message.getUint32(at + KeyboardEvent.at.flags, true))
    } else if (
      type === KeyboardMessage.PROTOCOL_RESPONSE &&
      length >= KeyboardProtocolResponse.size &&
      state === 'awaiting-response'
    ) {
      const accepted = message.getUint32(at + KeyboardProtocolResponse.at.accepted, true)
      if ((accepted & 1) === 0) return this.#fail('the host refused the keyboard protocol')
      this.#state = 'active'
      this.#listener.onReady?.()
    } else {
      this.#ignored += 1
    }
  }

  #fail(reason: string): void {
    this.#state = 'failed'
    this.#listener.onFailed?.(reason)
  }
}
