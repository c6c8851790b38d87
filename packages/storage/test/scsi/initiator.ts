// An initiator for tests: commands by their bytes, data in scattered pieces, answers read by hand.

import { ScsiOutcome, ScsiRequest, type ScsiTarget } from '@guestyard/storage/scsi'

export interface Answer {
  readonly outcome: number
  readonly status: number
  /** KKAAQQ in hexadecimal; empty when there is no sense data. */
  readonly sense: string
  readonly bytes: Uint8Array
  readonly transferred: number
  readonly asked: number
}

const ROOM = 65536
const PIECE = 1000

export class Initiator {
  readonly target: ScsiTarget
  path = 0
  targetId = 0
  lun = 0

  constructor(target: ScsiTarget, lun = 0) {
    this.target = target
    this.lun = lun
  }

  /** A command that returns data, or none. */
  in(cdb: readonly number[], room: number = ROOM): Answer {
    return this.#run(this.request(cdb, 2, new Uint8Array(room)))
  }

  /** A command that takes data. */
  out(cdb: readonly number[], data: Uint8Array | readonly number[]): Answer {
    return this.#run(this.request(cdb, 1, Uint8Array.from(data)))
  }

  /** A request that isn't submitted yet, with its data in pieces that lie in reverse order. */
  request(cdb: readonly number[], direction: 0 | 1 | 2, data: Uint8Array): ScsiRequest {
    const pieces = Math.ceil(data.length / PIECE)
    const request = new ScsiRequest(Math.max(1, pieces))
    request.path = this.path
    request.target = this.targetId
    request.lun = this.lun
    request.cdb.set(cdb)
    request.cdbLength = cdb.length
    request.direction = direction
    const bytes = new Uint8Array(pieces * PIECE)
    request.data.beginBytes(bytes)
    for (let piece = 0; piece < pieces; piece++) {
      const part = data.subarray(piece * PIECE, (piece + 1) * PIECE)
      // A byte between two pieces: they are not merged, and what is written there shows.
      const at = (pieces - 1 - piece) * PIECE
      bytes.set(part, at)
      request.data.add(at, part.length)
    }
    return request
  }

  #run(request: ScsiRequest): Answer {
    const room = request.data.totalBytes
    const addresses = [...request.data.addresses]
    const lengths = [...request.data.lengths]
    const { bytes } = request.data
    this.target.execute(request)
    for (let polls = 0; request.outcome === ScsiOutcome.PENDING; polls++) {
      if (polls > 100_000) throw new Error('the command does not end')
      this.target.poll(64)
    }
    const all = new Uint8Array(room)
    let done = 0
    for (let piece = 0; done < room; piece++) {
      const length = lengths[piece]!
      all.set(bytes.subarray(addresses[piece], addresses[piece]! + length), done)
      done += length
    }
    return answerOf(request, request.direction === 2 ? all : new Uint8Array(0))
  }
}

function answerOf(request: ScsiRequest, data: Uint8Array): Answer {
  const { sense, senseLength } = request
  const code = [sense[2]!, sense[12]!, sense[13]!]
  return {
    outcome: request.outcome,
    status: request.scsiStatus,
    sense: senseLength === 0 ? '' : code.map((byte) => hex(byte)).join(''),
    bytes: data.subarray(0, request.transferredBytes),
    transferred: request.transferredBytes,
    asked: request.askedBytes,
  }
}

export function hex(...bytes: number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Hexadecimal with spaces where a reader wants them. */
export function packed(text: string): string {
  return text.replaceAll(' ', '')
}

/** Big-endian bytes of a number. */
export function be(value: number, lengthBytes: number): number[] {
  const bytes: number[] = []
  let left = value
  for (let index = 0; index < lengthBytes; index++) {
    bytes.unshift(left % 256)
    left = Math.floor(left / 256)
  }
  return bytes
}

export const TEST_UNIT_READY: readonly number[] = [0, 0, 0, 0, 0, 0]

export function read10(block: number, count: number): number[] {
  return [0x28, 0, ...be(block, 4), 0, ...be(count, 2), 0]
}

export function write10(block: number, count: number, flags = 0): number[] {
  return [0x2a, flags, ...be(block, 4), 0, ...be(count, 2), 0]
}

export function inquiry(allocation = 255, page = -1): number[] {
  return [0x12, page < 0 ? 0 : 1, Math.max(page, 0), ...be(allocation, 2), 0]
}

/** Bytes that tell where they are. */
export function pattern(lengthBytes: number, seed = 1): Uint8Array {
  return Uint8Array.from(
    { length: lengthBytes },
    (_, at) => (at * 31 + seed * 7 + (at >> 8)) & 0xff,
  )
}
