// A mirror on this machine: files by their paths, with ranges, and whatever a test has it do instead.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import type { TinyArchive } from './tiny-archive.ts'

/** In place of the file; says whether it has answered. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => boolean

export class MirrorServer implements AsyncDisposable {
  readonly archive: TinyArchive
  /** `GET PATH RANGE`, as they came. */
  readonly asked: string[] = []
  /** By path. */
  readonly instead = new Map<string, Answer>()
  readonly #server: Server
  /** `http://HOST:PORT`. */
  origin = ''

  private constructor(archive: TinyArchive) {
    this.archive = archive
    this.#server = createServer((request, response) => this.#serve(request, response))
  }

  static async start(archive: TinyArchive): Promise<MirrorServer> {
    const mirror = new MirrorServer(archive)
    mirror.#server.listen(0, '127.0.0.1')
    await once(mirror.#server, 'listening')
    mirror.origin = `http://127.0.0.1:${(mirror.#server.address() as AddressInfo).port}`
    return mirror
  }

  get url(): string {
    return `${this.origin}/debian`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { range, 'if-range': ifRange } = request.headers
    const path = request.url ?? ''
    this.asked.push([path, range, ifRange].filter((word) => word !== undefined).join(' '))
    if (this.instead.get(path)?.(request, response) === true) return
    const file = this.archive.files.get(path)
    if (file === undefined) {
      response.writeHead(404).end('there is none')
      return
    }
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
    const rest = file.subarray(from)
    response.writeHead(from === 0 ? 200 : 206, {
      ETag: '"today"',
      'Content-Length': rest.length,
      ...(from === 0 ? {} : { 'Content-Range': `bytes ${from}-${file.length - 1}/${file.length}` }),
    })
    response.end(rest)
  }
}
