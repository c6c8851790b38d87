// Two actors, a message from one to the other, and what led to what: written to a file and read back.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Trace, TraceKind, TraceLink, describeRecord, recordLine, traceKey } from '@guestyard/trace'
import { createTraceFile, readTraceFile } from '@guestyard/trace/node'

const folder = mkdtempSync(join(tmpdir(), 'trace-'))
const path = join(folder, 'two.trace')
const file = createTraceFile(path, { scenario: 'two actors', engine: 'virtual', seed: 1 })
let nowNs = 0
const trace = new Trace(file.sink, () => nowNs)
trace.nameActor(1, 'writer')
trace.nameActor(2, 'root')

// The writer posts a message: the hypercall leads to it, and its record waits where the root will look.
const place = traceKey(TraceLink.MESSAGE_TO_ROOT, 2, 0, 1)
trace.actor = 1
trace.begin(TraceKind.HYPERCALL, 0x5c)
trace.beginFor(place, TraceKind.MESSAGE_POSTED, 1, 40)

// Later, on another actor, the root takes it up.
nowNs = 2_500
trace.actor = 2
trace.beginWith(place, TraceKind.MESSAGE_TAKEN, 2, 1)
file.close()

const actors = new Map<number, string>()
for await (const entry of readTraceFile(path)) {
  if (entry.is === 'actor') actors.set(entry.actor, entry.name)
  if (entry.is !== 'record') continue
  console.log(recordLine(describeRecord(entry.record, actors)).trim())
}
rmSync(folder, { recursive: true })
// prints: 3          2.500 µs  root         message-taken      partition=2 queue=1  ← 2
