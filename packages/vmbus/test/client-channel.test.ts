// The guest's end alone, against a host of bytes: the life of its channels and GPADLs.

import { RING_WORD_FEATURE_BITS, VmbusVersion } from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'
import type { ClientGpadl } from '@guestyard/vmbus/client'
import { IDLE_POLLS_MAX } from '../src/active-list.ts'
import { Heard, OPTIONS, Program, RING, connected, opened, opening } from './support/client-host.ts'
import { RawHost } from './support/raw-host.ts'

describe('open', () => {
  test('empties both control pages and sets the feature bit before the host knows the pages', () => {
    const host = connected()
    host.memory.u8.fill(0xaa)
    const { channel } = opening(host)
    for (const index of [0, 2]) {
      const at = (channel.pfns[index] ?? 0) * 1024
      const words = [...host.memory.i32.slice(at, at + 32)]
      const expected = words.map((_, word) => (word === RING_WORD_FEATURE_BITS ? 1 : 0))
      // The receiver of the second ring has masked its interrupt: it is not polling yet.
      if (index === 2) expected[2] = 1
      expect(words).toEqual(expected)
    }
  })

  test('asks for the channel only when the rings are known', () => {
    const { host, heard, channel } = opening()
    expect(host.takeNames()).toEqual(['GPADL_HEADER 1'])
    host.openResult(1)
    expect(channel.state).toBe('opening')
    host.created(1, RING)
    expect(host.takeNames()).toEqual(['OPENCHANNEL 1'])
    host.openResult(1, 0, 99)
    expect(channel.state).toBe('opening')
    host.openResult(1)
    expect(heard.said).toEqual(['opened'])
    expect(channel.state).toBe('open')
  })

  test('fails when the rings are refused, and the pages are free', () => {
    const { host, heard, channel } = opening()
    host.created(1, RING, 5)
    expect(heard.said).toEqual(['failed gpadl-refused'])
    expect(channel.state).toBe('failed')
    expect(host.freePages).toHaveLength(127)
  })

  test('fails when the host refuses it, once the rings are torn down', () => {
    const { host, heard } = opening()
    host.created(1, RING)
    host.take()
    host.openResult(1, 0x8000_ffff)
    expect(host.takeNames()).toEqual(['GPADL_TEARDOWN 1'])
    expect(heard.said).toEqual([])
    host.tornDown(RING)
    expect(heard.said).toEqual(['failed 2147549183'])
    expect(host.freePages).toHaveLength(127)
    opened(host)
  })

  test('is not for an offer that is gone, or open, nor without pages', () => {
    const { host } = opening()
    const [offer] = host.client.offers()
    if (offer === undefined) throw new Error('There is an offer.')
    expect(host.client.open(offer, OPTIONS, new Heard())).toBeUndefined()
    const other = host.offer(2)
    const large = { sendBytes: 128 * 4096, receiveBytes: 4096 }
    expect(host.client.open(other, large, new Heard())).toBeUndefined()
    const larger = { sendBytes: 8190 * 4096, receiveBytes: 4096 }
    expect(host.client.open(other, larger, new Heard())).toBeUndefined()
    host.rescind(2)
    expect(host.client.open(other, OPTIONS, new Heard())).toBeUndefined()
  })

  test('that is closed meanwhile is closed when it is open', () => {
    const { host, heard, channel } = opening()
    host.created(1, RING)
    host.client.close(channel)
    host.take()
    host.openResult(1)
    expect(host.takeNames()).toEqual(['CLOSECHANNEL 1', 'GPADL_TEARDOWN 1'])
    host.tornDown(RING)
    expect(heard.said).toEqual(['opened', 'closed closed'])
  })

  test('that is closed before the host was asked asks no more', () => {
    const { host, heard, channel } = opening()
    host.client.close(channel)
    host.take()
    host.created(1, RING)
    expect(host.takeNames()).toEqual(['GPADL_TEARDOWN 1'])
    host.tornDown(RING)
    expect(heard.said).toEqual(['failed closed'])
  })
})

describe('a program', () => {
  test('is polled from the opening on, and again after an event', () => {
    const { host, heard } = opening()
    const program = new Program()
    heard.program = program
    host.created(1, RING)
    host.openResult(1)
    for (let n = 0; n < 2 * IDLE_POLLS_MAX; n += 1) host.client.poll(10)
    expect(program.polls).toBe(IDLE_POLLS_MAX)
    host.client.receiveEvent(1)
    host.client.poll(10)
    expect(program.polls).toBe(IDLE_POLLS_MAX + 1)
  })

  test('may be followed by another on the same channel', () => {
    const { host, channel } = opened()
    const [first, second] = [new Program(), new Program()]
    channel.run(first)
    channel.run(second)
    host.client.poll(10)
    expect([first.polls, first.closed, second.polls]).toEqual([0, 0, 1])
    host.client.close(channel)
    expect(second.closed).toBe(1)
    channel.run(first)
    host.client.poll(10)
    expect(first.polls).toBe(0)
  })

  test('that fails its channel closes it', () => {
    const { host, heard, channel } = opened()
    const program = new Program()
    channel.run(program)
    channel.fail('the host wrote nonsense')
    expect(program.closed).toBe(1)
    host.client.poll(10)
    expect(host.takeNames()).toEqual(['CLOSECHANNEL 1', 'GPADL_TEARDOWN 1'])
    host.tornDown(RING)
    expect(heard.said).toEqual(['opened', 'closed failed'])
  })

  test('signals the connection of its offer, and none when the channel is over', () => {
    const { host, channel } = opened()
    channel.signal()
    host.client.close(channel)
    channel.signal()
    expect(host.signalled).toEqual([0x2001])
  })

  test('is not woken by events that belong to nobody', () => {
    const { host } = opened()
    for (const relid of [0, 1, 2, 2048, -1, Number.NaN]) host.client.receiveEvent(relid)
    expect(host.client.inspect()).toMatchObject({ strayEvents: 6, activeChannels: 0 })
  })
})

describe('close', () => {
  test('keeps the pages until the host has let go', () => {
    const { host, heard, channel } = opened()
    host.client.close(channel)
    host.client.close(channel)
    expect(host.freePages).toHaveLength(123)
    host.tornDown(99)
    expect(channel.state).toBe('closing')
    host.tornDown(RING)
    expect(host.freePages).toHaveLength(127)
    expect(heard.said).toEqual(['opened', 'closed closed'])
    expect(channel.outgoing.send(0, 8, 6, 0, 0, 0)).toBeLessThan(0)
  })

  test('takes sub-channels first, and gives them back', () => {
    const host = connected()
    host.offer(1, 1)
    host.offer(2, 1, 1)
    const primary = opened(host, 1)
    const sub = opened(host, 2)
    host.client.close(primary.channel)
    expect(host.takeNames()).toEqual(['CLOSECHANNEL 2', 'GPADL_TEARDOWN 2'])
    host.tornDown(sub.channel.ringGpadlId)
    expect(host.takeNames()).toEqual(['RELID_RELEASED 2', 'CLOSECHANNEL 1', 'GPADL_TEARDOWN 1'])
    host.tornDown(primary.channel.ringGpadlId)
    expect([sub.heard.said, primary.heard.said]).toEqual([
      ['opened', 'closed closed'],
      ['opened', 'closed closed'],
    ])
    expect(host.client.offers().map(({ relid }) => relid)).toEqual([1])
  })

  test('tears down what else the channel had opened to the host', () => {
    const { host, heard, channel } = opened()
    const states: string[] = []
    const listener = {
      created: () => states.push('created'),
      failed: () => states.push('failed'),
      tornDown: () => states.push('torn down'),
    }
    const range = { pfns: [50, 51], offsetBytes: 100, lengthBytes: 5000 }
    const gpadl = host.client.createGpadl(channel, [range], listener)
    const late = host.client.createGpadl(channel, [range], listener)
    host.created(1, gpadl?.id ?? 0)
    host.client.close(channel)
    expect(host.client.createGpadl(channel, [range], listener)).toBeUndefined()
    host.tornDown(RING)
    expect(channel.state).toBe('closing')
    host.created(1, late?.id ?? 0)
    for (const id of [gpadl?.id, late?.id]) host.tornDown(id ?? 0)
    expect(states).toEqual(['created', 'created', 'torn down', 'torn down'])
    expect(heard.said).toEqual(['opened', 'closed closed'])
  })
})

describe('GPADLs', () => {
  function listen(): {
    said: string[]
    created: (g: ClientGpadl) => void
    failed: () => void
    tornDown: () => void
  } {
    const said: string[] = []
    return {
      said,
      created: (gpadl) => said.push(`created ${gpadl.state}`),
      failed: () => said.push('failed'),
      tornDown: () => said.push('torn down'),
    }
  }
  const range = { pfns: [50], offsetBytes: 0, lengthBytes: 4096 }

  test('end once: torn down, or refused', () => {
    const { host, channel } = opened()
    const [good, bad] = [listen(), listen()]
    const first = host.client.createGpadl(channel, [range], good)
    const second = host.client.createGpadl(channel, [range], bad)
    host.created(2, first?.id ?? 0)
    host.created(1, first?.id ?? 0)
    host.created(1, second?.id ?? 0, 9)
    if (first !== undefined) {
      host.client.teardownGpadl(first)
      host.client.teardownGpadl(first)
    }
    host.tornDown(first?.id ?? 0)
    host.tornDown(first?.id ?? 0)
    expect([good.said, bad.said]).toEqual([['created created', 'torn down'], ['failed']])
    expect(host.takeNames().filter((name) => name.startsWith('GPADL_TEARDOWN'))).toHaveLength(1)
    expect(host.client.inspect().gpadls).toBe(1)
  })

  test('of more than 64 KiB of page numbers are not made', () => {
    const { host, channel } = opened()
    const pfns = Array.from({ length: 8191 }, () => 1)
    const huge = { pfns, offsetBytes: 0, lengthBytes: 8191 * 4096 }
    expect(host.client.createGpadl(channel, [huge], listen())).toBeUndefined()
  })
})

describe('rescind', () => {
  test('of an offer that is not open releases it', () => {
    const host = connected()
    host.offer(1)
    host.rescind(1)
    host.rescind(1)
    expect(host.takeNames()).toEqual(['RELID_RELEASED 1'])
    expect(host.events.at(-1)).toMatchObject({ is: 'rescind', offer: { relid: 1 } })
    expect(host.client.offers()).toEqual([])
  })

  test('of an open channel closes it without waiting for its rings', () => {
    const { host, heard, channel } = opened()
    const program = new Program()
    channel.run(program)
    host.rescind(1)
    expect(host.takeNames()).toEqual(['CLOSECHANNEL 1', 'RELID_RELEASED 1'])
    expect(program.closed).toBe(1)
    expect(heard.said).toEqual(['opened', 'closed rescinded'])
    expect(host.freePages).toHaveLength(127)
  })

  test.each([
    ['before its rings are known', () => undefined],
    ['while the host is asked', (host: RawHost) => host.created(1, RING)],
  ])('of a channel that opens, %s, fails it', (_, step) => {
    const { host, heard } = opening()
    step(host)
    host.take()
    host.rescind(1)
    expect(host.takeNames()).toEqual(['RELID_RELEASED 1'])
    expect(heard.said).toEqual(['failed rescinded'])
    host.created(1, RING)
    host.openResult(1)
    expect(host.client.inspect()).toMatchObject({ channels: [], gpadls: 0 })
    expect(host.freePages).toHaveLength(127)
  })

  test('of a channel that closes ends the wait', () => {
    const { host, heard, channel } = opened()
    host.client.close(channel)
    host.take()
    host.rescind(1)
    expect(host.takeNames()).toEqual(['RELID_RELEASED 1'])
    expect(heard.said).toEqual(['opened', 'closed rescinded'])
  })

  test('of a sub-channel lets its closing primary go on', () => {
    const host = connected()
    host.offer(1, 1)
    host.offer(2, 1, 1)
    const primary = opened(host, 1)
    opened(host, 2)
    host.client.close(primary.channel)
    host.take()
    host.rescind(2)
    expect(host.takeNames()).toContain('CLOSECHANNEL 1')
  })
})

describe('moving interrupts', () => {
  test('waits for the response from 5.3 on, one at a time', () => {
    const { host, heard, channel } = opened()
    expect(host.client.modifyChannel(channel, 1)).toBe(true)
    expect(host.client.modifyChannel(channel, 2)).toBe(false)
    expect(channel.targetVp).toBe(0)
    host.modified(1)
    host.modified(1)
    expect(channel.targetVp).toBe(1)
    host.client.modifyChannel(channel, 9)
    host.modified(1, 5)
    expect(channel.targetVp).toBe(1)
    expect(heard.said).toEqual(['opened', 'modified 1', 'modified undefined'])
  })

  test.each([
    [VmbusVersion.WIN10_RS3, true, 1],
    [VmbusVersion.WIN10, false, 0],
  ])('with version %i', (version, sent, targetVp) => {
    const host = new RawHost([version])
    host.connect()
    const { channel } = opened(host)
    expect(host.client.modifyChannel(channel, 1)).toBe(sent)
    expect(channel.targetVp).toBe(targetVp)
  })
})
