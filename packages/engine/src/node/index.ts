// What a worker's thread needs of Node: log lines that leave it by a port. The engine itself imports nothing of Node's.
export {
  createPortLogger,
  type LogFields,
  type LogLevel,
  type LogLine,
  type LogPort,
  type PortLogger,
} from './port-logger.ts'
