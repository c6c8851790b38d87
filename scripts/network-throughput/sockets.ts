/** The same payloads over TCP of this host: `net` sockets of Node between two threads. */

import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { Worker } from 'node:worker_threads'

interface Ports {
  readonly sinkPort: number
  readonly echoPort: number
}

export class Sockets {
  readonly #worker: Worker
  readonly #ports: Ports

  private constructor(worker: Worker, ports: Ports) {
    this.#worker = worker
    this.#ports = ports
  }

  static async start(): Promise<Sockets> {
    const worker = new Worker(new URL('socket-worker.ts', import.meta.url))
    const [ports] = (await once(worker, 'message')) as [Ports]
    return new Sockets(worker, ports)
  }

  async stop(): Promise<void> {
    await this.#worker.terminate()
  }

  /** Nanoseconds of a payload of so many, one `write` each, until the other thread had them all. */
  async send(bytes: number, count: number): Promise<number> {
    const socket = await open(this.#ports.sinkPort)
    const payload = Buffer.alloc(bytes, 0xa5)
    const ended = once(socket.resume(), 'end')
    const began = performance.now()
    for (let sent = 0; sent < count; sent += 1) {
      if (!socket.write(payload)) await once(socket, 'drain')
    }
    socket.end()
    await ended
    return ((performance.now() - began) * 1e6) / count
  }

  /** Nanoseconds of a round trip of so many bytes, of so many. */
  async ping(bytes: number, count: number): Promise<number> {
    const socket = await open(this.#ports.echoPort)
    const payload = Buffer.alloc(bytes, 0xa5)
    const began = performance.now()
    for (let trip = 0; trip < count; trip += 1) {
      let left = bytes
      socket.write(payload)
      while (left > 0) {
        const [got] = (await once(socket, 'data')) as [Buffer]
        left -= got.length
      }
    }
    const ns = ((performance.now() - began) * 1e6) / count
    socket.destroy()
    return ns
  }
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true })
  await once(socket, 'connect')
  return socket
}
