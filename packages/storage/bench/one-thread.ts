// What a request costs at both ends together, bus and rings included and no disk behind it: one thread, no waiting.
//
//   node packages/storage/bench/one-thread.ts

import { getHeapStatistics } from 'node:v8'
import { ScsiOutcome } from '@guestyard/storage/scsi'
import type { ScsiRequest } from '@guestyard/storage/scsi'
import { openStorage } from '@guestyard/storage/testing'
import { StorRequest, readBlocks } from '@guestyard/storage/vsc'
import type { StorTarget } from '@guestyard/storage/vsp'

const REQUESTS = 100_000

/** Everything succeeds at once. */
const nothing: StorTarget = {
  execute(request: ScsiRequest) {
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

const rows: Record<string, number | string>[] = []
for (const depth of [1, 8, 32, 128]) {
  for (const bytes of [512, 4096, 65_536, 262_144]) {
    const storage = openStorage(nothing)
    const run = { left: 0 }
    const requests = Array.from({ length: depth }, (_, index) => {
      const request = new StorRequest(65, (ended) => {
        run.left -= 1
        if (run.left > 0) storage.vsc.submit(ended, 0)
      })
      request.setData(4096 * (20 + index), bytes)
      readBlocks(request, 0, bytes / 512)
      return request
    })
    const serve = (count: number): void => {
      run.left = count
      for (const request of requests) storage.vsc.submit(request, 0)
      while (run.left > 0) storage.loopback.step()
      storage.loopback.pump()
    }
    serve(50_000)
    serve(50_000)
    const before = getHeapStatistics().total_allocated_bytes
    const start = process.cpuUsage()
    serve(REQUESTS)
    const { user, system } = process.cpuUsage(start)
    const allocated = getHeapStatistics().total_allocated_bytes - before
    rows.push({
      depth,
      bytes,
      'CPU ns/request': Math.round(((user + system) * 1e3) / REQUESTS),
      'heap B/request': (allocated / REQUESTS).toFixed(2),
    })
  }
}
console.table(rows)
