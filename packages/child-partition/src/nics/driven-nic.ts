// HOT (place, submit, received)
// An adapter with its driver, as a guest program has it.

import type { GuestMemory } from '@guestyard/guestmem'
import type { NetVsc, ReceivedFrame } from '@guestyard/network/vsc'

import { EventStream } from '../api/event-stream.ts'
import type { FrameQueue, FrameReceiver } from '../api/nics.ts'
import type { NicPort } from './guest-nics.ts'

/** VP's thread only. */
export class DrivenNic implements NicPort, FrameQueue {
  readonly name: string
  readonly #vsc: NetVsc
  readonly #memory: GuestMemory
  readonly #wake: () => void
  readonly #frames: EventStream<Uint8Array> = new EventStream()
  #receiver: FrameReceiver | null = null
  onGone: (() => void) | null = null

  constructor(name: string, vsc: NetVsc, memory: GuestMemory, wake: () => void) {
    this.name = name
    this.#vsc = vsc
    this.#memory = memory
    this.#wake = wake
  }

  get address(): string {
    return [...this.#vsc.address].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
  }

  get mac(): Uint8Array {
    return this.#vsc.address
  }

  get isLinkUp(): boolean {
    return this.#vsc.isLinkUp
  }

  get maxFrameBytes(): number {
    return this.#vsc.maxFrameBytes
  }

  get frames(): AsyncIterable<Uint8Array> {
    return this.#frames
  }

  get dropped(): number {
    return this.#frames.dropped
  }

  get queue(): FrameQueue {
    return this
  }

  get bytes(): Uint8Array {
    return this.#memory.u8
  }

  get words(): Int32Array {
    return this.#memory.i32
  }

  send(frame: Uint8Array): boolean {
    if (!this.#vsc.isLinkUp || !this.#vsc.send(frame)) return false
    this.#wake()
    return true
  }

  transmit(frame: Uint8Array, bytes: number): boolean {
    return this.#vsc.isLinkUp && this.#vsc.send(frame.subarray(0, bytes))
  }

  flush(): void {
    this.#vsc.flush()
  }

  place(): number {
    return this.#vsc.place()
  }

  submit(lengthBytes: number): boolean {
    return this.#vsc.submit(lengthBytes)
  }

  publish(): void {
    this.#vsc.flush()
    this.#wake()
  }

  receive(receiver: FrameReceiver | null): void {
    this.#receiver = receiver
  }

  /** The driver's: a frame came. */
  received(frame: ReceivedFrame): void {
    if (this.#receiver === null) this.#frames.push(frame.bytes())
    else this.#receiver.frame(frame.gpa, frame.lengthBytes)
  }

  /** The driver's: there is a place to send from. */
  space(): void {
    this.#receiver?.space()
  }

  end(): void {
    this.#receiver = null
    this.#frames.end()
    this.onGone?.()
  }
}
