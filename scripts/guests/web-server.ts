// A guest that serves a file over HTTP, and fetches others.

import { createHash, randomBytes } from 'node:crypto'
import { createServer, get } from 'node:http'

import type { Guest, NetSettings } from '@guestyard/child-partition'

export async function main(guest: Guest): Promise<void> {
  const { bytes, ...settings } = guest.args as NetSettings & { readonly bytes: number }
  const up = guest.net.up(0, settings)
  const file = randomBytes(bytes)
  guest.expose({
    /** Serves its file from now on; the SHA-256 of it. */
    serve: async () => {
      const net = await up
      const server = createServer((_request, response) => response.end(file))
      net.serveHttp(server, 80)
      return sha256(file)
    },
    /** The SHA-256 of what a URL leads to. */
    fetch: async (url) => {
      const agent = (await up).httpAgent()
      const hash = createHash('sha256')
      await new Promise<void>((resolve, reject) => {
        const request = get(String(url), { agent }, (response) => {
          response.on('data', (piece: Uint8Array) => hash.update(piece))
          response.on('end', resolve)
          response.on('error', reject)
        })
        request.on('error', reject)
      })
      return hash.digest('hex')
    },
    ping: async (to) => (await up).ping(String(to)),
    resolve: async (name) => (await up).resolve(String(name)),
    drops: async () => (await up).inspect().drops,
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
