/** Why a channel refused or gave up. Every rejection and throw of a channel is a `ChannelError` or the caller's abort reason. */
export const ChannelErrorCode = {
  /** An option of `channelPair`, `openBytes` or `openMessages` is wrong; nothing was made. */
  badOption: 'bad-option',
  /** This end was opened before, here or on another thread. */
  alreadyOpen: 'already-open',
  /** This end was closed (or ended) here; nothing more can be sent. */
  closed: 'closed',
  /** The other end does not read any more. */
  peerClosed: 'peer-closed',
  /** The other end gave up, or its thread died; the message says why. */
  peerFailed: 'peer-failed',
  /** This end gave up by `fail(reason)`. */
  failed: 'failed',
  /** The encoded message is larger than `maxMessageBytes`. Only this message is refused. */
  messageTooBig: 'message-too-big',
  /** The value cannot be encoded. Only this message is refused. */
  notEncodable: 'not-encodable',
  /** The peer wrote bytes that no honest end writes; the channel is over on this side. */
  badFrame: 'bad-frame',
  /** The ring's own words or descriptors are corrupt (a `RingFault`); the channel is over on this side. */
  ringFault: 'ring-fault',
  /** This thread may not block (a browser's main thread). */
  mayNotBlock: 'may-not-block',
} as const
export type ChannelErrorCode = (typeof ChannelErrorCode)[keyof typeof ChannelErrorCode]

/** The one error class of channels. `code` is stable; `ringFault` is set for `ring-fault` only. */
export class ChannelError extends Error {
  override readonly name: string = 'ChannelError'
  readonly code: ChannelErrorCode
  readonly ringFault: number | undefined

  constructor(
    code: ChannelErrorCode,
    message: string,
    detail: { cause?: unknown; ringFault?: number } = {},
  ) {
    super(message, 'cause' in detail ? { cause: detail.cause } : undefined)
    this.code = code
    this.ringFault = detail.ringFault
  }
}
