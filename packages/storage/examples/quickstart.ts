// The bytes of one request, in two pieces of one buffer: what every disk here reads and writes.
import { ScatterList } from '@guestyard/storage'

const pieces = new ScatterList(4)
pieces.beginBytes(new Uint8Array(16384))
pieces.add(0, 4096)
pieces.add(4096, 4096)
pieces.add(12288, 4096)
console.log(`${pieces.totalBytes} bytes in ${pieces.count} pieces`)
// prints: 12288 bytes in 2 pieces
