import { describe, expect, test } from 'vitest'
import * as hvdef from '../src/index.ts'

const ids = [
  { name: 'Gpa', make: hvdef.gpa, is: hvdef.isGpa, min: 0, max: 2 ** 52 - 1 },
  { name: 'Gpfn', make: hvdef.gpfn, is: hvdef.isGpfn, min: 0, max: 2 ** 40 - 1 },
  {
    name: 'PartitionId',
    make: hvdef.partitionId,
    is: hvdef.isPartitionId,
    min: 1,
    max: 2 ** 53 - 1,
  },
  { name: 'VpIndex', make: hvdef.vpIndex, is: hvdef.isVpIndex, min: 0, max: 0xffff_fffd },
  { name: 'ChannelId', make: hvdef.channelId, is: hvdef.isChannelId, min: 1, max: 2047 },
  { name: 'GpadlId', make: hvdef.gpadlId, is: hvdef.isGpadlId, min: 0, max: 0xffff_ffff },
  {
    name: 'ConnectionId',
    make: hvdef.connectionId,
    is: hvdef.isConnectionId,
    min: 0,
    max: 0xff_ffff,
  },
  { name: 'PortId', make: hvdef.portId, is: hvdef.isPortId, min: 0, max: 0xff_ffff },
  { name: 'SintIndex', make: hvdef.sintIndex, is: hvdef.isSintIndex, min: 0, max: 15 },
]

describe.each(ids)('$name', ({ name, make, is, min, max }) => {
  test('takes both ends of its range', () => {
    expect(make(min)).toBe(min)
    expect(make(max)).toBe(max)
  })

  test.each([min - 1, max + 1, min + 0.5, Number.NaN, Infinity])('refuses %d', (n) => {
    expect(is(n)).toBe(false)
    expect(() => make(n)).toThrow(`${n} is not a ${name}`)
  })
})
