// A request from the driver to the target and back allocates nothing, at either end, measured over a hundred thousand.

import { getHeapStatistics } from 'node:v8'
import { expect, test } from 'vitest'
import { ScsiOutcome } from '@guestyard/storage/scsi'
import { openStorage } from '@guestyard/storage/testing'
import { StorRequest, readBlocks } from '@guestyard/storage/vsc'
import type { StorTarget } from '@guestyard/storage/vsp'

const ROUNDS = 100_000
const TURNS = 4
const DEPTH = 32
/** Compilation takes some, whatever runs; the smallest object a request would take 1.6 MB. */
const NOISE_BYTES = 1_000_000

/** Everything succeeds at once. */
const nothing: StorTarget = {
  execute: (request) => {
    request.outcome = ScsiOutcome.DONE
    request.scsiStatus = 0
    request.transferredBytes = request.data.totalBytes
  },
  poll: () => 0,
  nextDeadlineMs: () => Number.POSITIVE_INFINITY,
  abort: () => undefined,
  resetUnit: () => undefined,
  resetAll: () => undefined,
  watch: () => undefined,
}

test('a request leaves no garbage at either end', () => {
  const storage = openStorage(nothing)
  const run = { left: 0 }
  const requests = Array.from({ length: DEPTH }, (_, index) => {
    const request = new StorRequest(2, (ended) => {
      run.left -= 1
      if (run.left > 0) storage.vsc.submit(ended, 0)
    })
    request.setData(4096 * (20 + index * 2) + 512, 4096)
    readBlocks(request, 0, 8)
    return request
  })
  const serve = (count: number): void => {
    run.left = count
    for (const request of requests) storage.vsc.submit(request, 0)
    while (run.left > 0) storage.loopback.step()
    storage.loopback.pump()
  }
  serve(ROUNDS)
  // What requests leave, each turn has; what is compiled anew, one of them.
  let least = Number.POSITIVE_INFINITY
  for (let turn = 0; turn < TURNS && least >= NOISE_BYTES; turn++) {
    const before = getHeapStatistics().total_allocated_bytes
    serve(ROUNDS)
    least = Math.min(least, getHeapStatistics().total_allocated_bytes - before)
  }
  expect(least).toBeLessThan(NOISE_BYTES)
})
