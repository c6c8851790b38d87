// A guest with an address: it serves, or asks one that does.

import { createHash } from 'node:crypto'
import { createServer, get } from 'node:http'

import type { Guest, GuestInterface, NetSettings } from '@guestyard/child-partition'

export async function main(guest: Guest): Promise<void> {
  const up = guest.net.up(0, guest.args as NetSettings)
  guest.expose({
    /** Echoes on port 7, counts datagrams on port 9, and serves a page of so many bytes on port 80. */
    serve: async (bytes) => {
      const net = await up
      void echo(net)
      const page = pattern(Number(bytes))
      const server = createServer((_request, response) => response.end(page))
      net.serveHttp(server, 80)
      void (async () => {
        const socket = net.bind(9)
        for await (const datagram of socket) {
          socket.send(datagram.bytes, datagram.address, datagram.port)
        }
      })()
    },
    ping: async (to) => (await up).ping(String(to), { timeoutMs: 500 }),
    /** Sends so many bytes to an echo and compares what comes back. */
    echoed: async (data) => {
      const { to, bytes } = data as { readonly to: string; readonly bytes: number }
      const socket = await (await up).connect(to, 7)
      const sent = pattern(bytes)
      const written = socket.write(sent).then(() => socket.end())
      const hash = createHash('sha256')
      let read = 0
      for await (const piece of socket) {
        hash.update(piece)
        read += piece.length
      }
      await written
      return [read, hash.digest('hex') === createHash('sha256').update(sent).digest('hex')]
    },
    /** The length of a page, and whether it is the pattern. */
    fetched: async (to) => fetchFrom(await up, String(to), 80),
    fetchedFrom: async (data) => {
      const { host, port } = data as { readonly host: string; readonly port: number }
      return fetchFrom(await up, host, port)
    },
    datagram: async (to) => {
      const socket = (await up).bind()
      socket.send(pattern(100), String(to), 9)
      for await (const { bytes, address: from, port } of socket) {
        return [bytes.length, from, port]
      }
      return null
    },
    refused: async (to) => {
      const failure = (await up).connect(String(to), 81).catch((error: Error) => error.message)
      return failure
    },
    wrong: async () => {
      const net = await up
      const failures = [
        () => net.listen(0),
        () => net.listen(7.5),
        () => net.bind(70_000),
        () => net.ping('localhost'),
      ]
      return failures.map((act) => {
        try {
          void act()
          return 'accepted'
        } catch (error) {
          return (error as Error).message
        }
      })
    },
    drops: async () => (await up).inspect().drops,
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}

async function fetchFrom(
  net: GuestInterface,
  host: string,
  port: number,
): Promise<[bytes: number, isPattern: boolean]> {
  const agent = net.httpAgent()
  const page = await new Promise<Uint8Array>((resolve, reject) => {
    const pieces: Uint8Array[] = []
    const request = get({ agent, host, port, path: '/' }, (response) => {
      response.on('data', (piece: Uint8Array) => pieces.push(piece))
      response.on('end', () => resolve(Buffer.concat(pieces)))
      response.on('error', reject)
    })
    request.on('error', reject)
  })
  return [page.length, Buffer.compare(page, pattern(page.length)) === 0]
}

async function echo(net: GuestInterface): Promise<void> {
  for await (const socket of net.listen(7)) {
    void (async () => {
      for await (const piece of socket) await socket.write(piece)
      socket.end()
    })()
  }
}

function pattern(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, n) => (n * 2_654_435_761) >>> 24)
}
