// Two stacks on a wire: one asks, the other answers, and a clock that jumps drives both.
import { IpStack, formatIpv4, parseIpv4 } from '@guestyard/tcpip'
import { TestWire, randomOf } from '@guestyard/tcpip/testing'

const wire = new TestWire({ delayMs: 2, lost: 100 })
const clock = (): number => wire.nowMs
const [client, server] = wire.ends.map((link, end) => {
  const stack = new IpStack({
    link,
    clock,
    random: randomOf(end),
    secret: crypto.getRandomValues(new Uint8Array(16)),
  })
  link.onFrame = (frame) => stack.receive(frame)
  stack.configure(parseIpv4(`10.0.0.${end + 1}`)!, 24)
  return stack
}) as [IpStack, IpStack]

const into = new Uint8Array(1500)
server.listenTcp(7, {
  onConnection(connection) {
    connection.onChange = () => {
      connection.write(into.subarray(0, connection.read(into)))
      if (connection.isReadFinished) connection.finish()
    }
  },
})

let heard = ''
const asks = client.connectTcp(parseIpv4('10.0.0.2')!, 7)!
asks.onChange = () => {
  if (asks.state === 'established' && asks.unacknowledgedBytes === 0 && heard === '') {
    asks.write(new TextEncoder().encode('over a wire that loses a tenth'))
    asks.finish()
  }
  heard += new TextDecoder().decode(into.subarray(0, asks.read(into)))
}

// Whoever owns a stack calls it when frames arrive and when it has something to do.
while (!asks.isReadFinished) {
  wire.nowMs = Math.min(wire.nextDeadlineMs(), client.nextDeadlineMs(), server.nextDeadlineMs())
  wire.deliver()
  client.poll()
  server.poll()
}
console.log(`${formatIpv4(asks.remote)} said: ${heard}`)
// prints: 10.0.0.2 said: over a wire that loses a tenth
