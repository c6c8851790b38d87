export { createBackingFile, openBackingFile, type FileOptions } from './node-file.ts'
