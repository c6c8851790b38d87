/** Switches as scenarios write them, checked and turned into what management takes. */

import { switchSpecs, type SwitchOptions, type SwitchesOptions } from '@guestyard/management'
import { fileURLToPath } from 'node:url'

import { InputError } from './input-error.ts'

/** What `switches` comes to: its files are relative to `base`. `where` stands before the field in errors. */
export function planSwitches(
  switches: SwitchesOptions,
  base: string,
  where: string,
): SwitchesOptions {
  try {
    switchSpecs(switches)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const [field, ...message] = error.message.split(': ')
    throw new InputError(`${where}${field}`, message.join(': '))
  }
  const inPlace = (file: string): string => fileURLToPath(new URL(file, base))
  return Object.fromEntries(
    Object.entries(switches).map(([name, options]): [string, SwitchOptions] => {
      const { uplink, capture } = options
      return [
        name,
        {
          ...options,
          ...(uplink?.kind === 'player' && { uplink: { ...uplink, file: inPlace(uplink.file) } }),
          ...(capture !== undefined && { capture: inPlace(capture) }),
        },
      ]
    }),
  )
}
