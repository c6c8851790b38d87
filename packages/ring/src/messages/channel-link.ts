import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { type ChannelPort, channelPageOffset, channelRing } from '../channel-pair.ts'
import { Doorbell } from '../doorbell.ts'
import { createRingPair } from '../ring-pair.ts'
import { ChannelError } from './channel-error.ts'
import { type ChannelSide, ChannelWords, doorbellOffset } from './channel-words.ts'
import type { Codec } from './codec.ts'
import { DRAIN_PACKETS, Receiver } from './receiver.ts'
import { Sender } from './sender.ts'

const SPIN_MICROSECONDS = 20
const SPIN_MICROSECONDS_MAX = 1e6

export interface OpenOptions {
  /**
   * How long an end that finds nothing looks again before it sleeps: the difference between a round trip of
   * under a microsecond and one of fifty. 20 when left out, 0 for never; it is left out by itself where it brings nothing.
   */
  readonly spinMicroseconds?: number
}

/** All that one open end is made of. */
export interface ChannelLink<Sent, Received> {
  readonly words: ChannelWords
  readonly sender: Sender<Sent>
  readonly receiver: Receiver<Received>
  /** Rung by the peer: there is a message, there is room, or its state changed. */
  readonly ownDoorbell: Doorbell
  readonly peerDoorbell: Doorbell
  readonly spinMs: number
}

/** Takes the end that `port` describes for this thread and maps it. */
export function openLink<Sent, Received>(
  port: ChannelPort,
  codec: Codec<Sent, Received>,
  options: OpenOptions,
): ChannelLink<Sent, Received> {
  checkPort(port)
  const spinMicroseconds = options.spinMicroseconds ?? SPIN_MICROSECONDS
  if (!(spinMicroseconds >= 0 && spinMicroseconds <= SPIN_MICROSECONDS_MAX)) {
    throw new ChannelError(
      'bad-option',
      `spinMicroseconds must be from 0 to ${SPIN_MICROSECONDS_MAX}; got ${spinMicroseconds}`,
    )
  }
  const { side, memory, dataBytes, maxMessageBytes } = port
  const peerSide: ChannelSide = side === 0 ? 1 : 0
  const pageOffset = channelPageOffset(dataBytes)
  const words = new ChannelWords(memory.buffer, pageOffset, side)
  if (!words.claim()) {
    throw new ChannelError('already-open', 'this end of the channel was opened before')
  }
  const send = channelRing(memory, dataBytes, side)
  const receive = channelRing(memory, dataBytes, peerSide)
  const rings = createRingPair(send, receive, {
    incoming: { accept: [PACKET_TYPE_DATA_INBAND], maxPackets: DRAIN_PACKETS },
  })
  const ownDoorbell = new Doorbell(memory.buffer, pageOffset + doorbellOffset(side))
  const peerDoorbell = new Doorbell(memory.buffer, pageOffset + doorbellOffset(peerSide))
  return {
    words,
    sender: new Sender(rings.outgoing, peerDoorbell, codec, maxMessageBytes),
    receiver: new Receiver(rings.incoming, peerDoorbell, codec, maxMessageBytes),
    ownDoorbell,
    peerDoorbell,
    spinMs: spinMicroseconds / 1000,
  }
}

function checkPort(port: ChannelPort): void {
  if (port?.kind === 'guestyard-channel-port' && port.memory?.buffer instanceof SharedArrayBuffer) {
    return
  }
  throw new ChannelError(
    'bad-option',
    'openBytes and openMessages take an end that channelPair made, here or on another thread',
  )
}
