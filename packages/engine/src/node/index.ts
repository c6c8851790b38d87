// What a worker's thread needs of Node: log lines and calls that travel by ports. The engine itself imports nothing of Node's.
export { portEndpoint, type PortEndpoint } from './port-endpoint.ts'
export { trimHeapWhenIdle, type TrimOptions } from './trim-heap.ts'
export {
  createPortLogger,
  type LogFields,
  type LogLevel,
  type LogLine,
  type LogPort,
  type PortLogger,
} from './port-logger.ts'
