export { createCaptureFile, type CaptureFile } from './capture-file.ts'
