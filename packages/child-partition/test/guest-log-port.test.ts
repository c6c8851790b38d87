import { describe, expect, test } from 'vitest'

import { GuestLogPort } from '../src/guest-log-port.ts'
import { GUEST_LOG_LINES_PER_SECOND, GUEST_LOG_LINE_MAX } from '../src/worker-protocol.ts'

function setUp() {
  const lines: string[] = []
  const clock = { nowMs: 0 }
  const port = new GuestLogPort({ postMessage: (line) => void lines.push(line) }, () => clock.nowMs)
  return { lines, clock, port }
}

describe('the log port of a guest', () => {
  test('passes lines as they are, up to the allowance of a second', () => {
    const { lines, port } = setUp()
    for (let i = 0; i < GUEST_LOG_LINES_PER_SECOND + 7; i += 1) port.postMessage(`line ${i}\n`)
    expect(lines.length).toBe(GUEST_LOG_LINES_PER_SECOND)
    expect(lines.at(-1)).toBe(`line ${GUEST_LOG_LINES_PER_SECOND - 1}\n`)
  })

  test('says in the next second how many lines it dropped, within that second’s allowance', () => {
    const { lines, clock, port } = setUp()
    for (let i = 0; i < GUEST_LOG_LINES_PER_SECOND + 7; i += 1) port.postMessage('a\n')
    clock.nowMs = 1_000
    lines.length = 0
    for (let i = 0; i < GUEST_LOG_LINES_PER_SECOND + 7; i += 1) port.postMessage('b\n')
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: 40, dropped: 7 })
    expect(lines[1]).toBe('b\n')
    expect(lines.length).toBeLessThanOrEqual(GUEST_LOG_LINES_PER_SECOND + 1)
  })

  test('drops a line that is too long, and counts it', () => {
    const { lines, port } = setUp()
    port.postMessage('x'.repeat(GUEST_LOG_LINE_MAX + 1))
    expect(lines).toEqual([])
    port.postMessage('short\n')
    expect(JSON.parse(lines[0]!)).toMatchObject({ dropped: 1 })
  })
})
