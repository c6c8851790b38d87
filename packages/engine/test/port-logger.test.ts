import { pino } from 'pino'
import { describe, expect, test } from 'vitest'

import { createPortLogger, type LogLevel, type PortLogger } from '../src/node/index.ts'

const BASE = { component: 'guest', vm: 'a', partitionId: 7 }

/** The same calls on a port logger and on pino; the lines of each, without their time. */
function both(level: LogLevel, calls: (log: PortLogger) => void): [unknown[], unknown[]] {
  const ours: string[] = []
  const theirs: string[] = []
  calls(createPortLogger({ postMessage: (line) => void ours.push(line) }, level, BASE))
  const reference = pino({ level, base: BASE }, { write: (line) => void theirs.push(line) })
  calls(reference as unknown as PortLogger)
  return [ours.map(read), theirs.map(read)]
}

function read(line: string): unknown {
  expect(line.endsWith('\n')).toBe(true)
  const { time, ...rest } = JSON.parse(line) as Record<string, unknown>
  expect(typeof time).toBe('number')
  return rest
}

describe('a port logger', () => {
  test('writes the lines that pino writes', () => {
    const [ours, theirs] = both('trace', (log) => {
      log.trace('a message alone')
      log.debug({ relid: 3 }, 'with fields')
      log.info({ only: 'fields' })
      log.warn({ vm: 'their own' }, 'a field that is bound already')
      log.fatal({ nested: { list: [1, 'two', null] } }, 'deep')
      log.child({ channelId: 9 }).error({ x: 1 }, 'from a child')
    })
    expect(ours).toEqual(theirs)
    expect(ours.length).toBe(6)
  })

  test('writes an error with its type, message and stack, as pino does', () => {
    const error = new RangeError('too far')
    const [ours, theirs] = both('info', (log) => {
      log.error(error)
      log.error({ err: error, relid: 1 }, 'failed')
    })
    expect(ours).toEqual(theirs)
  })

  test.each(['fatal', 'warn', 'trace', 'silent'] as const)(
    'of level %s is silent below it, as pino is',
    (level) => {
      const [ours, theirs] = both(level, (log) => {
        for (const name of ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const) {
          log[name](`${name} ${log.isLevelEnabled(name)}`)
        }
      })
      expect(ours).toEqual(theirs)
    },
  )

  test('writes the message of a line whose fields JSON cannot say, and throws nothing', () => {
    const lines: string[] = []
    const log = createPortLogger({ postMessage: (line) => void lines.push(line) }, 'info', BASE)
    const circle: Record<string, unknown> = {}
    circle['circle'] = circle
    log.warn(circle, 'round')
    log.warn({ big: 1n }, 'wide')
    expect(lines.map(read)).toMatchObject([{ msg: 'round' }, { msg: 'wide' }])
  })
})
