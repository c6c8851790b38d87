// How a guest and a controller agree on a version, and when what may be asked.
//
//   state       | BEGIN       | QUERY_PROTOCOL_VERSION | QUERY_PROPERTIES | CREATE_SUB_CHANNELS | END         | EXECUTE_SRB, RESET_*
//   ------------|-------------|------------------------|------------------|---------------------|-------------|---------------------
//   begin       | -> version  | wrong state            | wrong state      | wrong state         | wrong state | wrong state
//   version     | wrong state | -> properties, refused | wrong state      | wrong state         | wrong state | wrong state
//   properties  | wrong state | wrong state            | -> finish        | wrong state         | wrong state | wrong state
//   finish      | wrong state | wrong state            | wrong state      | sub-channels        | -> ready    | wrong state
//   ready       | wrong state | wrong state            | wrong state      | sub-channels        | wrong state | the program's
//   sub-channel | wrong state | wrong state            | wrong state      | wrong state         | wrong state | EXECUTE_SRB, once the
//               |             |                        |                  |                     |             | primary is ready
//   over        |             |                        |                  |                     |             |
//
// "wrong state" is an answer, INVALID_DEVICE_STATE. Stock Linux creates sub-channels after END_INITIALIZATION, Windows before.

import { assertNever } from '@guestyard/hvdef'
import {
  STOR_PACKET_BYTES,
  STOR_PACKET_BYTES_WIN7,
  StorCreateSubChannels,
  StorOperation,
  StorProtocolVersion,
  StorStatus,
  StorVersion,
} from '../protocol.ts'

export type StorStateName =
  | 'begin'
  | 'version'
  | 'properties'
  | 'finish'
  | 'ready'
  | 'sub-channel'
  | 'over'

const VERSIONS: ReadonlySet<number> = new Set([
  StorVersion.WIN6,
  StorVersion.WIN7,
  StorVersion.WIN8,
  StorVersion.WIN8_1,
])

/** What a primary that is open may be in. */
const PRIMARY_STATES: readonly StorStateName[] = [
  'begin',
  'version',
  'properties',
  'finish',
  'ready',
]

/** One opening of a channel. */
export class Handshake {
  state: StorStateName
  /** In force, 0 before and on sub-channels. */
  version = 0

  constructor(isPrimary: boolean) {
    this.state = isPrimary ? 'begin' : 'sub-channel'
  }

  /** Bytes of a packet in the version in force. */
  get packetBytes(): number {
    return this.version < StorVersion.WIN8 ? STOR_PACKET_BYTES_WIN7 : STOR_PACKET_BYTES
  }

  /**
   * The status of an operation whose packet is `length` bytes at `at` of `view`, and what it does to the state. `freeSubChannels`:
   * as many as may still be created.
   */
  step(
    operation: number,
    view: DataView,
    at: number,
    length: number,
    freeSubChannels: number,
  ): number {
    const { state } = this
    switch (state) {
      case 'begin':
        if (operation !== StorOperation.BEGIN_INITIALIZATION) break
        this.state = 'version'
        return StorStatus.SUCCESS
      case 'version':
        if (operation !== StorOperation.QUERY_PROTOCOL_VERSION) break
        return this.#agree(view, at, length)
      case 'properties':
        if (operation !== StorOperation.QUERY_PROPERTIES) break
        this.state = 'finish'
        return StorStatus.SUCCESS
      case 'finish':
      case 'ready':
        if (operation === StorOperation.CREATE_SUB_CHANNELS) {
          if (length < StorCreateSubChannels.size) return StorStatus.INVALID_PARAMETER
          const fits = subChannelCount(view, at) <= freeSubChannels
          return fits ? StorStatus.SUCCESS : StorStatus.INVALID_PARAMETER
        }
        if (operation !== StorOperation.END_INITIALIZATION || state === 'ready') break
        this.state = 'ready'
        return StorStatus.SUCCESS
      case 'sub-channel':
      case 'over':
        break
      default:
        return assertNever(state)
    }
    return StorStatus.INVALID_DEVICE_STATE
  }

  /** A primary goes on from there. False for a state that there is not. */
  restore(state: unknown, version: unknown): boolean {
    const known = PRIMARY_STATES.find((one) => one === state)
    if (known === undefined || typeof version !== 'number') return false
    if (version !== 0 && !VERSIONS.has(version)) return false
    this.state = known
    this.version = version
    return true
  }

  #agree(view: DataView, at: number, length: number): number {
    if (length < StorProtocolVersion.size) return StorStatus.INVALID_PARAMETER
    const version = view.getUint16(at + StorProtocolVersion.at.version, true)
    // Newer than 8.1's is refused: whoever speaks that of 10 speaks the older one too.
    if (!VERSIONS.has(version)) return StorStatus.REVISION_MISMATCH
    this.version = version
    this.state = 'properties'
    return StorStatus.SUCCESS
  }
}

/** Sub-channels that CREATE_SUB_CHANNELS at `at` asks for. */
export function subChannelCount(view: DataView, at: number): number {
  return view.getUint16(at + StorCreateSubChannels.at.count, true)
}
