export { PcapngWriter, type CaptureSink, type PcapngPacketOptions } from './pcapng-writer.ts'
export { PcapngError, readPcapng, type PcapngPacket } from './pcapng-reader.ts'
export { PortCapture, type PortCaptureOptions } from './port-capture.ts'
