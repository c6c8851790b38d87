// The network adapters of a VM, from what callers write to plain data.

import { NICS_MAX, type NicSpec } from '@guestyard/root-partition/worker-protocol'

/** An adapter as callers write it: the name of its switch, which is there from its first adapter on, and what its port may do. */
export type NicOptions = NicSpec

const NAME_LENGTH_MAX = 64

/** Checks what the root does not. `field` names it in errors: `VM "a": nics`. Throws a `RangeError` of one line. */
export function nicSpecs(nics: readonly NicOptions[], field: string): readonly NicSpec[] {
  if (nics.length > NICS_MAX) throw new RangeError(`${field}: ${nics.length}, at most ${NICS_MAX}`)
  for (const [index, { switch: name }] of nics.entries()) {
    if (typeof name === 'string' && name.length > 0 && name.length <= NAME_LENGTH_MAX) continue
    throw new RangeError(`${field}[${index}].switch: expected a name of 1 to 64 characters`)
  }
  return nics.map((nic) => ({ ...nic }))
}
