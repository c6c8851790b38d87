import { GUEST_LOG_LINES_PER_SECOND } from '@guestyard/child-partition/worker-protocol'
import { createPortLogger } from '@guestyard/engine/node'
import { describe, expect, test } from 'vitest'

import { FLOOD_JUNK, FLOOD_LINES_PER_SECOND, GuestLog } from '../src/vmwp/guest-log.ts'

function setUp() {
  const lines: Record<string, unknown>[] = []
  const clock = { now: 0 }
  const floods = { count: 0 }
  const log = createPortLogger(
    { postMessage: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
    'trace',
    { component: 'guest', vm: 'a' },
  )
  const guestLog = new GuestLog(
    log,
    () => clock.now,
    () => void (floods.count += 1),
  )
  return { lines, clock, floods, guestLog }
}

describe('a guest’s log', () => {
  test('a line keeps its level, words and fields, and is bound to the guest it came from', () => {
    const { lines, guestLog } = setUp()
    const forged = { level: 40, component: 'root-partition', vm: 'b', time: 1, x: 7, msg: 'hello' }
    guestLog.accept(JSON.stringify(forged))
    expect(lines[0]).toMatchObject({ level: 40, component: 'guest', vm: 'a', x: 7, msg: 'hello' })
    expect(lines[0]!['time']).not.toBe(1)
  })

  test.each([
    [null],
    [{ toString: 1 }],
    ['not JSON'],
    ['[1]'],
    ['"text"'],
    [`"${'x'.repeat(9_000)}"`],
  ])('%j is no line: dropped, and counted on the next one', (junk) => {
    const { lines, guestLog } = setUp()
    guestLog.accept(junk)
    expect(lines).toEqual([])
    guestLog.accept('{"level":30,"msg":"fine"}')
    expect(lines[0]).toMatchObject({ msg: 'fine', dropped: 1 })
  })

  test('lines above the allowance of a second are dropped, and the next second says how many', () => {
    const { lines, clock, guestLog } = setUp()
    for (let i = 0; i < GUEST_LOG_LINES_PER_SECOND + 50; i += 1) {
      guestLog.accept('{"level":30,"msg":"a"}')
    }
    expect(lines.length).toBe(GUEST_LOG_LINES_PER_SECOND)
    clock.now = 1_000
    guestLog.accept('{"level":30,"msg":"b"}')
    expect(lines.at(-1)).toMatchObject({ msg: 'b', dropped: 50 })
  })

  test('no number of lines that a logger sends is a flood, and one more in its second is', () => {
    const { clock, floods, guestLog } = setUp()
    for (clock.now = 0; clock.now < 3_000; clock.now += 1_000) {
      for (let i = 0; i < FLOOD_LINES_PER_SECOND; i += 1) guestLog.accept('{"level":30}')
    }
    expect(floods.count).toBe(0)
    clock.now -= 1_000
    guestLog.accept('{"level":30}')
    expect(floods.count).toBeGreaterThan(0)
  })

  test('messages that are no lines are a flood when there are many, however slowly they come', () => {
    const { clock, floods, guestLog } = setUp()
    for (let i = 0; i < FLOOD_JUNK; i += 1, clock.now += 1_000) guestLog.accept({ i })
    expect(floods.count).toBe(0)
    guestLog.accept(null)
    expect(floods.count).toBe(1)
  })
})
