export { createCaptureFile, type CaptureFile } from './capture-file.ts'
export { hostSockets, tunnelSocket, type TunnelEnds } from './host-sockets.ts'
