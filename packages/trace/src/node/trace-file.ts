import { closeSync, openSync, writeSync } from 'node:fs'

import { TraceEncoder } from '../trace-encoder.ts'
import type { TraceHeader } from '../trace-format.ts'

/** A trace that is being written. */
export interface TraceFile {
  readonly sink: TraceEncoder
  /**
   * Writes the footer and closes the file. A file without it is a trace that was cut short. Throws what the file system refused first,
   * now or before.
   */
  close(): void
}

/**
 * Makes the file, over one that is there. Writes block the thread, a chunk of 64 KiB at a time: nothing of a trace is kept in memory,
 * and nothing in the thread's event loop depends on how fast the disk is. Throws what the file system does. A full disk does not
 * change what is traced: from there on nothing is written, and closing says so.
 */
export function createTraceFile(path: string, header: TraceHeader): TraceFile {
  const file = openSync(path, 'w')
  let refusal: unknown = null
  const sink = new TraceEncoder(header, (chunk) => {
    if (refusal !== null) return
    try {
      writeAll(file, chunk)
    } catch (error) {
      refusal = error
    }
  })
  return {
    sink,
    close() {
      sink.end()
      closeSync(file)
      if (refusal !== null) throw refusal
    },
  }
}

function writeAll(file: number, chunk: Uint8Array): void {
  let at = 0
  while (at < chunk.length) at += writeSync(file, chunk, at)
}
