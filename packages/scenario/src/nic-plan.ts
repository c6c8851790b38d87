/** Network adapters as scenarios write them, checked and turned into what management takes. */

import type { NicOptions } from '@guestyard/management'
import * as v from 'valibot'

import { InputError } from './input-error.ts'
import { show } from './quantity.ts'

/** An adapter of a scenario's machine. */
export interface NicDefinition {
  /** Name of the switch: machines that name the same one reach each other. */
  readonly switch: string
  /** Its Ethernet address; one of the host's own when left out. */
  readonly address?: string
  /** Payload bytes of a frame that the guest is told; 1500 when left out. */
  readonly mtu?: number
  /** The VLAN that it is in; none when left out. */
  readonly vlan?: number
  /** It may send from other addresses; false when left out. */
  readonly macSpoofing?: boolean
  readonly dhcpGuard?: boolean
  readonly routerGuard?: boolean
  /** Most bits a second that it sends; as many as it can when left out. */
  readonly maxBitsPerSecond?: number
  /** Its share of the switch's `capacityBitsPerSecond` when others want it too, 1..100; 1 when left out. */
  readonly weight?: number
  /** Link speed that the guest is told, in Mbit/s; 10000 when left out. */
  readonly linkMbps?: number
}

const MTU_MIN = 576
const MTU_MAX = 9000
const VLAN_MAX = 4094
const NICS_MAX = 8
const WEIGHT_MAX = 100
const LINK_MBPS_MAX = 400_000

const flag = v.optional(v.boolean((issue) => `expected true or false, got ${show(issue.input)}`))

function count(least: number, most: number): v.GenericSchema<unknown, number | undefined> {
  const expected = (input: unknown): string =>
    `expected a whole number from ${least} to ${most}, got ${show(input)}`
  return v.optional(
    v.pipe(
      v.number((issue) => expected(issue.input)),
      v.integer((issue) => expected(issue.input)),
      v.minValue(least, (issue) => expected(issue.input)),
      v.maxValue(most, (issue) => expected(issue.input)),
    ),
  )
}

const nicSchema = v.strictObject(
  {
    switch: v.pipe(
      v.string((issue) => `expected the name of a switch, got ${show(issue.input)}`),
      v.nonEmpty('expected the name of a switch'),
      v.maxLength(64, 'expected a name of at most 64 characters'),
    ),
    address: v.optional(
      v.pipe(
        v.string((issue) => `expected an Ethernet address, got ${show(issue.input)}`),
        v.mac48((issue) => `expected an Ethernet address, got ${show(issue.input)}`),
      ),
    ),
    mtu: count(MTU_MIN, MTU_MAX),
    vlan: count(1, VLAN_MAX),
    macSpoofing: flag,
    dhcpGuard: flag,
    routerGuard: flag,
    maxBitsPerSecond: count(1, Number.MAX_SAFE_INTEGER),
    weight: count(1, WEIGHT_MAX),
    linkMbps: count(1, LINK_MBPS_MAX),
  },
  'expected an object with switch, address, mtu, vlan, macSpoofing, dhcpGuard, routerGuard, maxBitsPerSecond, weight, linkMbps',
)
const nicsSchema = v.pipe(
  v.array(nicSchema, 'expected a list of network adapters'),
  v.maxLength(NICS_MAX, `expected at most ${NICS_MAX} network adapters`),
)

/** What `vms.NAME.nics` comes to. `where` stands before the field in errors: `x.ts: vms.db`. */
export function planNics(nics: unknown, where: string): readonly NicOptions[] {
  const parsed = v.safeParse(nicsSchema, nics, { abortEarly: true })
  if (!parsed.success) {
    const [issue] = parsed.issues
    const path = v.getDotPath(issue)
    const field = `${where}.nics${path === null ? '' : `.${path}`}`
    if (issue.type !== 'strict_object') throw new InputError(field, issue.message)
    if (issue.received === 'undefined') throw new InputError(field, 'is missing')
    if (issue.expected !== 'never') throw new InputError(field, issue.message)
    const known = Object.keys(nicSchema.entries).join(', ')
    throw new InputError(field, `unknown field (known: ${known})`)
  }
  return parsed.output.map(({ mtu, vlan, ...port }) => ({
    ...given(port),
    switch: port.switch,
    ...(mtu === undefined ? {} : { mtuBytes: mtu }),
    ...(vlan === undefined ? {} : { vlan: { mode: 'access', id: vlan } }),
  }))
}

/** Without what was left out. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
