/** The ways in which the bus is compared with a bare ring: `guest-to-root`, `4-channels` and the like, as flags name them. */

import type { LoadOptions } from '@guestyard/scenario'
import { InputError } from '@guestyard/scenario'

export interface Way {
  readonly direction: Exclude<NonNullable<LoadOptions['direction']>, 'echo'>
  readonly channels: number
}

export const WAYS_DEFAULT = 'guest-to-root,root-to-guest,both,4-channels'
const DIRECTIONS: readonly Way['direction'][] = ['guest-to-root', 'root-to-guest', 'both']
const CHANNELS_MAX = 16

/** Reads the value of `flag`: a list of directions, and of `N-channels`, which go from guest to root. */
export function readWays(flag: string, text: string): readonly Way[] {
  return text.split(',').map((part) => readWay(flag, part.trim()))
}

function readWay(flag: string, name: string): Way {
  const direction = DIRECTIONS.find((known) => known === name)
  if (direction !== undefined) return { direction, channels: 1 }
  const channels = Number(/^(\d{1,2})-channels$/.exec(name)?.[1])
  if (channels >= 1 && channels <= CHANNELS_MAX) return { direction: 'guest-to-root', channels }
  throw new InputError(
    flag,
    `expected ${DIRECTIONS.join(', ')} or N-channels with N from 1 to ${CHANNELS_MAX}, got '${name}'`,
  )
}
