// The protocol versions both ends speak unless told otherwise: those that Linux 6.1 asks for, in its order.

import { VmbusVersion } from '@guestyard/hvdef'

/** 5.3 down to 2.4, newest first. */
export const DEFAULT_VERSIONS: readonly number[] = [
  VmbusVersion.IRON,
  VmbusVersion.WIN10_RS5,
  VmbusVersion.WIN10_RS4,
  VmbusVersion.WIN10_V5,
  VmbusVersion.WIN10_RS3,
  VmbusVersion.WIN10,
  VmbusVersion.WIN8_1,
  VmbusVersion.WIN8,
]
