export { LifeStage, TRACE_KINDS, TraceKind, type TraceKindRow } from './kinds.ts'
export { Trace, TraceLink, traceKey, type TraceSink } from './trace.ts'
export {
  TRACE_FORMAT,
  TRACE_VERSION,
  TraceFileError,
  type TraceEntry,
  type TraceHeader,
  type TraceRecord,
} from './trace-format.ts'
export { describeRecord, printable, recordLine, type DescribedRecord } from './describe-record.ts'
