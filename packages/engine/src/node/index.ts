// What a worker's thread needs of Node: log lines that leave it by a port. The engine itself imports nothing of Node's.
export { createPortLogger, type LogLevel, type LogPort } from './port-logger.ts'
