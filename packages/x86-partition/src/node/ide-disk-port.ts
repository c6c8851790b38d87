// The IDE disk of a machine as its processor's thread has it: somebody else owns the image, and answers over a port.

import type { IdeImage } from '../processor/pc-board.ts'
import type { IdeDiskPort, IdeDiskReply, IdeDiskRequest } from '../worker-protocol.ts'

export interface IdeDiskEvents {
  /** The machine was given what it had asked for: it has to look. */
  readonly onAnswer: () => void
  /** The image failed. The processor package's disk can't say so to its guest. */
  readonly onFailure: () => void
}

/** The machine's thread only. */
export class IdeDiskClient implements IdeImage {
  readonly bytes: number
  readonly #disk: IdeDiskPort
  readonly #waiting: Map<number, (data: Uint8Array) => void> = new Map()
  #lastId = 0

  constructor(disk: IdeDiskPort, events: IdeDiskEvents) {
    this.bytes = disk.bytes
    this.#disk = disk
    disk.port.on('message', ({ id, data }: IdeDiskReply) => {
      if (data === null) return events.onFailure()
      this.#waiting.get(id)?.(data)
      this.#waiting.delete(id)
      events.onAnswer()
    })
  }

  read(at: number, length: number, done: (bytes: Uint8Array) => void): void {
    this.#ask(at, length, done)
  }

  write(at: number, bytes: Uint8Array, done: () => void): void {
    this.#ask(at, Uint8Array.from(bytes), done)
  }

  #ask(at: number, transfer: IdeDiskRequest['transfer'], done: (data: Uint8Array) => void): void {
    this.#lastId += 1
    const request: IdeDiskRequest = { id: this.#lastId, at, transfer }
    this.#waiting.set(request.id, done)
    this.#disk.port.postMessage(request, typeof transfer === 'number' ? [] : [transfer.buffer])
  }
}
