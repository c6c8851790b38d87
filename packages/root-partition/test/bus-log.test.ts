import { LOAD_CLASS_ID } from '@guestyard/load-device/protocol'
import { RingFault, ringFaultName } from '@guestyard/ring'
import { expect, test } from 'vitest'

import { BUS_LINES_PER_SECOND, BusLog } from '../src/bus-log.ts'

const event = { is: 'guest-error', error: 'malformed', messageType: 5 } as const

test('a channel that failed is logged with the name of its fault', () => {
  const lines: { reason?: unknown }[] = []
  const write = (fields: object): void => void lines.push(fields)
  const log = new BusLog({ debug: write, warn: write, error: write }, { nowMs: 0 })
  const channel = {
    relid: 4,
    subChannelIndex: 1,
    classId: LOAD_CLASS_ID,
    instanceId: LOAD_CLASS_ID,
  }
  log.write(2, { is: 'channel-failed', reason: RingFault.WRITE_INDEX_REWOUND, ...channel })
  expect(lines[0]?.reason).toBe(ringFaultName(RingFault.WRITE_INDEX_REWOUND))
  expect(lines[0]?.reason).toMatch(/[a-z]/i)
})

test('a guest that causes more lines than its allowance is cut off, and the next second says how many', () => {
  const lines: { dropped?: number }[] = []
  const clock = { nowMs: 0 }
  const write = (fields: object): void => void lines.push(fields)
  const log = new BusLog({ debug: write, warn: write, error: write }, clock)
  for (let i = 0; i < BUS_LINES_PER_SECOND + 90; i += 1) log.write(2, event)
  expect(lines.length).toBe(BUS_LINES_PER_SECOND)

  log.write(3, event)
  expect(lines.length).toBe(BUS_LINES_PER_SECOND + 1)

  // Channels that come and go do not hide faults: they are counted apart.
  log.write(4, event)
  for (let i = 0; i < 90; i += 1) log.write(5, { is: 'disconnected' })
  const before = lines.length
  log.write(5, event)
  expect(lines.length).toBe(before + 1)

  clock.nowMs = 1_000
  log.write(2, event)
  expect(lines.at(-1)?.dropped).toBe(90)
  log.write(2, event)
  expect(lines.at(-1)?.dropped).toBeUndefined()
})
