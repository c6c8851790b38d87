// A channel brought into any of its states, and what makes each event happen to it.

import type {
  ChannelEventName,
  ChannelStateName,
  Offer,
  VmbusLimits,
} from '@guestyard/vmbus/server'
import { FakeDevice, nth } from './fake-device.ts'
import { RawGuest } from './raw-guest.ts'

/** A channel under test: its device answers opens and closes only when told to. */
export interface Subject {
  readonly guest: RawGuest
  readonly device: FakeDevice
  offer: Offer
}

export const RING = 7
const OTHER_RING = 8

export function offered(limits: Partial<VmbusLimits> = {}): Subject {
  const guest = new RawGuest({ limits })
  const device = new FakeDevice()
  device.answer = 'pending'
  device.closesLater = true
  const offer = guest.server.offer(nth(1), device)
  guest.connect()
  guest.gpadl(1, RING, [16, 17, 18, 19])
  guest.gpadl(1, OTHER_RING, [20, 21, 22, 23])
  guest.take()
  return { guest, device, offer }
}

export const reach: Record<ChannelStateName, () => Subject> = {
  'client-released': () => after(offered(), ({ guest }) => guest.release(1)),
  closed: () => offered(),
  opening: () => after(offered(), ({ guest }) => guest.open(1, RING)),
  open: () => after(reach.opening(), ({ device }) => device.finishOpen()),
  closing: () => after(reach.open(), ({ guest }) => guest.close(1)),
  'closing-reopen': () => after(reach.closing(), ({ guest }) => guest.open(1, OTHER_RING)),
  revoked: () => after(offered(), ({ offer }) => offer.revoke()),
  reoffered: () =>
    after(reach.revoked(), (subject) => {
      subject.offer = subject.guest.server.offer(nth(1), subject.device)
    }),
  'closing-client-release': () => after(reach.closing(), ({ guest }) => guest.release(1)),
  'opening-client-release': () => after(reach.opening(), ({ guest }) => guest.contact()),
}

function after(subject: Subject, step: (subject: Subject) => void): Subject {
  step(subject)
  subject.guest.take()
  return subject
}

export const cause: Record<ChannelEventName, (subject: Subject) => void> = {
  open: ({ guest }) => guest.open(1, RING),
  close: ({ guest }) => guest.close(1),
  release: ({ guest }) => guest.release(1),
  revoke: ({ offer }) => offer.revoke(),
  opened: ({ device }) => device.finishOpen(),
  refused: ({ device }) => device.channel.completeOpen({ refused: 5 }),
  drained: drain,
  disconnect: ({ guest }) => guest.contact(),
}

// The device stops: it ends a close, or answers an open that nobody waits for.
function drain({ guest, device }: Subject): void {
  const state = guest.server.inspect().channels[0]?.state
  if (state === 'opening-client-release') device.channel.completeOpen({ refused: 5 })
  else device.finishClose()
}

export function stateOf({ guest }: Subject): string {
  return guest.server.inspect().channels[0]?.state ?? 'gone'
}

/** What the guest is sent, as `takeNames` has it. */
export const OFFER = 'OFFERCHANNEL 1'
export const RESCIND = 'RESCIND_CHANNELOFFER 1'
export const VERSION = 'VERSION_RESPONSE'
export const OPENED = 'OPENCHANNEL_RESULT 1'
export const NOT_OPENED = 'OPENCHANNEL_RESULT 1 failed'
