/**
 * The C++ peer: compiled into the temporary directory where there is a compiler, run as a process
 * of its own.
 */

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, renameSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { RING_BYTES } from './ring-threads.ts'

const SOURCE = fileURLToPath(new URL('../native/ring-peer.cpp', import.meta.url))
const COMPILER = process.env['CXX'] ?? 'g++'
const FLAGS = ['-O3', '-march=native', '-std=c++20', '-pthread']

interface NativeThroughput {
  readonly packets: number
  readonly errors: number
  readonly seconds: number
}

interface NativeRoundTrip {
  readonly p50: number
  readonly p99: number
  readonly errors: number
}

export class NativePeer {
  readonly #program: string

  private constructor(program: string) {
    this.#program = program
  }

  /** The compiled peer, or the reason why there is none. */
  static async build(): Promise<NativePeer | string> {
    const key = createHash('sha256').update(readFileSync(SOURCE)).update(FLAGS.join()).digest('hex')
    const program = join(tmpdir(), `guestyard-ring-peer-${key.slice(0, 16)}`)
    if (existsSync(program)) return new NativePeer(program)
    const fresh = join(mkdtempSync(join(tmpdir(), 'guestyard-')), 'ring-peer')
    try {
      await promisify(execFile)(COMPILER, [...FLAGS, '-o', fresh, SOURCE])
    } catch (error) {
      const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
      return `no C++ peer: ${reason}`
    }
    renameSync(fresh, program)
    return new NativePeer(program)
  }

  /** Packets a second. */
  async oneWay(
    payloadBytes: number,
    batch: number,
    measureMs: number,
    senders = 1,
  ): Promise<{ packetsPerSecond: number; errors: number }> {
    const found = await this.#run<NativeThroughput>(
      'throughput',
      payloadBytes,
      batch,
      measureMs,
      RING_BYTES,
      senders,
    )
    return { packetsPerSecond: found.packets / found.seconds, errors: found.errors }
  }

  /** Bytes a second of bare copies through a ring's pages, `chunkBytes` at a time: no packets, no protocol. */
  async copies(
    pages: 'contiguous' | 'scattered',
    chunkBytes: number,
    measureMs: number,
  ): Promise<number> {
    const found = await this.#run<{ bytes: number; seconds: number }>(
      'copies',
      pages,
      chunkBytes,
      measureMs,
      RING_BYTES,
    )
    return found.bytes / found.seconds
  }

  /** Nanoseconds of a round trip of 64 bytes. */
  async roundTrips(
    wait: 'spin' | 'futex' | 'epoll',
    measureMs: number,
  ): Promise<{ p50Ns: number; p99Ns: number; errors: number }> {
    const found = await this.#run<NativeRoundTrip>('roundtrip', wait, measureMs)
    return { p50Ns: found.p50, p99Ns: found.p99, errors: found.errors }
  }

  async #run<T>(...args: readonly (string | number)[]): Promise<T> {
    const { stdout } = await promisify(execFile)(this.#program, args.map(String))
    return JSON.parse(stdout) as T
  }
}
