// Who can relay to whom: a stream id names a stream of a group.

import { LoadStatus } from '@guestyard/load-device/protocol'
import type { RelayHub } from '@guestyard/load-device/vsp'
import { expect, test } from 'vitest'

import { RelayGroups } from '../src/relay-groups.ts'

const source = { onRoom: () => {}, onPeerGone: () => {} }

/** What the `partition`th sender of stream 7 is told. */
function sending(hub: RelayHub, partition: number): number | 'joined' {
  const outcome = hub.joinSource(7n, partition, source)
  return typeof outcome === 'number' ? outcome : 'joined'
}

test('partitions that name no group share one', () => {
  const groups = new RelayGroups()
  const hub = groups.join()
  expect(groups.join('default')).toBe(hub)
  expect(sending(hub, 1)).toBe('joined')
  expect(sending(groups.join(), 2)).toBe(LoadStatus.STREAM_TAKEN)
})

test('a stream of one group can neither be joined nor noticed in another', () => {
  const groups = new RelayGroups()
  const [red, blue] = [groups.join('red'), groups.join('blue')]
  expect(sending(red, 1)).toBe('joined')
  expect(sending(blue, 2)).toBe('joined')
  expect(sending(groups.join(), 3)).toBe('joined')
  expect(blue.inspect()).toEqual({
    streams: [{ id: '7', hasSender: true, hasReceiver: false }],
    joined: 0,
  })
})

test('a partition without relays is refused every stream', () => {
  const groups = new RelayGroups()
  const hub = groups.join(false)
  expect(sending(hub, 1)).toBe(LoadStatus.STREAM_DENIED)
  groups.leave(hub)
  expect(groups.size).toBe(0)
})

test("the host's rule holds in every group", () => {
  const groups = new RelayGroups((_, partition) => partition !== 3)
  expect(sending(groups.join('red'), 3)).toBe(LoadStatus.STREAM_DENIED)
  expect(sending(groups.join('red'), 4)).toBe('joined')
})

test('a group is forgotten with its last partition', () => {
  const groups = new RelayGroups()
  const hub = groups.join('red')
  groups.join('red')
  groups.leave(hub)
  expect(groups.join('red')).toBe(hub)
  groups.leave(hub)
  groups.leave(hub)
  expect(groups.size).toBe(0)
  expect(groups.join('red')).not.toBe(hub)
})
