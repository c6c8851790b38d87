/** The other thread of the socket figures: one server that takes what comes until its end, and one that sends everything back. */

import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { parentPort } from 'node:worker_threads'

function listen(serve: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, serve)
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(server))
  })
}

const sink = await listen((socket) => {
  socket.on('data', () => undefined)
  socket.on('end', () => socket.end())
})
const echo = await listen((socket) => socket.pipe(socket))
const [sinkPort, echoPort] = [sink, echo].map(
  (server) => (server.address() as AddressInfo).port,
) as [number, number]
parentPort?.postMessage({ sinkPort, echoPort })
