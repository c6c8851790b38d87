export { createTraceFile, type TraceFile } from './trace-file.ts'
export { readTraceFile } from './read-trace-file.ts'
