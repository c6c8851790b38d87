// A switch with three ports, in this thread: an address is learned, a guard holds back what a port may not send.
import { Frame, VirtualSwitch } from '@guestyard/network'

const lan = new VirtualSwitch({ clock: { now: () => performance.now() } })
const plug = (name: string, address: string) => {
  const end = {
    deliver(frame: Frame) {
      console.log(`${name} gets ${frame.lengthBytes} bytes`)
      return 0
    },
  }
  return lan.connect(end, { name, address })
}
const db = plug('db', '00:15:5d:00:00:01')
plug('web', '00:15:5d:00:00:02')
plug('cache', '00:15:5d:00:00:03')

// To web, from db, of an experimental type; then the same with another's address as its source.
const frame = new Frame()
const bytes = new Uint8Array(64)
bytes.set([0, 0x15, 0x5d, 0, 0, 2, 0, 0x15, 0x5d, 0, 0, 1, 0x88, 0xb5])
frame.setBytes(bytes)
db.send(frame)
bytes[11] = 3
frame.setBytes(bytes)
db.send(frame)
console.log(lan.inspect().ports[0]?.sendDrops)
// prints: web gets 64 bytes
// prints: { SPOOFED_SOURCE: 1 }
