// A host with an echo device and a guest that talks to it, over VMBus, in one thread.
import { PACKET_TYPE_DATA_INBAND, parseGuid } from '@guestyard/hvdef'
import type { Channel, ChannelProgram } from '@guestyard/vmbus'
import { createLoopback } from '@guestyard/vmbus/testing'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

// What runs on each end of the channel: polled, never waiting.
function program(channel: Channel, packet: (payload: Uint8Array) => void): ChannelProgram {
  const { incoming, outgoing } = channel
  return {
    poll(budget) {
      const count = incoming.drain(budget)
      for (let i = 0; i < count; i += 1) {
        const at = incoming.payloadAt(i)
        packet(incoming.arena.subarray(at, at + incoming.payloadLength(i)))
      }
      if (incoming.commit()) channel.signal()
      if (outgoing.commit()) channel.signal()
      return count
    },
    arm: () => incoming.unmask(),
    disarm: () => incoming.mask(),
    close: () => undefined,
  }
}

function send(channel: Channel, bytes: Uint8Array): void {
  channel.outgoing.staging.set(bytes)
  channel.outgoing.write(0, bytes.length, PACKET_TYPE_DATA_INBAND, 0, 0, 0)
  if (channel.outgoing.commit()) channel.signal()
}

const bus = createLoopback()

// The host offers a device.
bus.server.offer(
  {
    classId: parseGuid('6b1a4a3e-3c8f-4c55-9d0e-1f6f4f0a7c01'),
    instanceId: parseGuid('6b1a4a3e-3c8f-4c55-9d0e-1f6f4f0a7c02'),
  },
  { open: (channel) => program(channel, (payload) => send(channel, payload)) },
)

// The guest connects, opens what it is offered, and sends a packet.
bus.client.connect()
bus.pump()
const [offer] = bus.client.offers()
if (offer === undefined) throw new Error('The host offers one device.')
bus.client.open(
  offer,
  { sendBytes: 16 * 4096, receiveBytes: 16 * 4096 },
  {
    opened(channel) {
      send(channel, encoder.encode('hello, host'))
      return program(channel, (payload) => {
        console.log(`echoed: ${decoder.decode(payload).replaceAll('\0', '')}`)
      })
    },
  },
)
bus.pump()

// The guest leaves: every channel closes, every page is free again.
bus.client.unload()
bus.pump()
console.log(`guest ${bus.client.state}, host holds ${bus.server.inspect().gpadls.listBytes} bytes`)
// prints: guest disconnected, host holds 0 bytes
