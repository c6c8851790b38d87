import { closeSync, openSync, writeSync } from 'node:fs'

import { TraceEncoder } from '../trace-encoder.ts'
import type { TraceHeader } from '../trace-format.ts'

/** A trace that is being written. */
export interface TraceFile {
  readonly sink: TraceEncoder
  /** Writes the footer and closes the file. A file without it is a trace that was cut short. */
  close(): void
}

/**
 * Makes the file, over one that is there. Writes block the thread, a chunk of 64 KiB at a time: nothing of a trace is kept in memory,
 * and nothing in the thread's event loop depends on how fast the disk is. Throws what the file system does.
 */
export function createTraceFile(path: string, header: TraceHeader): TraceFile {
  const file = openSync(path, 'w')
  const sink = new TraceEncoder(header, (chunk) => writeAll(file, chunk))
  return {
    sink,
    close() {
      sink.end()
      closeSync(file)
    },
  }
}

function writeAll(file: number, chunk: Uint8Array): void {
  let at = 0
  while (at < chunk.length) at += writeSync(file, chunk, at)
}
