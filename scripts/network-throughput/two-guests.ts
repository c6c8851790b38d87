/** Two script guests on one switch, and the frames that they send each other. */

import { startHost } from '@guestyard/management'
import type { Host, Vm } from '@guestyard/management'

import type { FramesAsked, FramesSent } from '../guests/frame-mover.ts'

const GUEST = new URL('../guests/frame-mover.ts', import.meta.url)
const RAM_BYTES = 128 * 1024 * 1024
const WINDOW = 4096

export class TwoGuests {
  readonly #host: Host
  readonly #one: Vm
  readonly #two: Vm
  readonly #to: string
  readonly #self: string

  private constructor(host: Host, one: Vm, two: Vm, to: string, self: string) {
    this.#host = host
    this.#one = one
    this.#two = two
    this.#to = to
    this.#self = self
  }

  static async start(): Promise<TwoGuests> {
    const host = await startHost({ log: { level: 'silent' } })
    const [one, two] = ['one', 'two'].map((name) =>
      host.createVm({
        name,
        memoryBytes: RAM_BYTES,
        program: GUEST,
        nics: [{ switch: 'lan' }, { switch: 'lan' }],
      }),
    ) as [Vm, Vm]
    await Promise.all([one.start(), two.start()])
    const to = String(await two.call('address'))
    return new TwoGuests(host, one, two, to, String(await one.call('secondAddress')))
  }

  async stop(): Promise<void> {
    await Promise.all([this.#one.stop(), this.#two.stop()])
    await this.#host.close()
  }

  /** Nanoseconds of a frame of so many, until the last was taken. Throws when one was lost. */
  async send(bytes: number, count: number): Promise<number> {
    const asked: FramesAsked = { to: this.#to, bytes, count, window: WINDOW }
    const { elapsedMs, lost } = (await this.#one.call('send', asked)) as FramesSent
    if (lost > 0) throw new Error(`${lost} of ${count} frames were lost`)
    return (elapsedMs * 1e6) / count
  }

  /**
   * Nanoseconds of a round trip, of so many one after the other: to the other guest, or to the second adapter of the same one. The path is the
   * same, but two threads have a processor each and spin; three have not.
   */
  async ping(to: 'other' | 'self', count: number): Promise<number> {
    const asked: FramesAsked = {
      to: to === 'self' ? this.#self : this.#to,
      bytes: 60,
      count,
      window: 1,
    }
    return (Number(await this.#one.call('ping', asked)) * 1e6) / count
  }

  /** Drops at the ports, by name. */
  async drops(): Promise<readonly Readonly<Record<string, number>>[]> {
    const { switches } = await this.#host.inspect()
    return switches.flatMap(({ ports }) =>
      ports.flatMap(({ sendDrops, receiveDrops }) => [sendDrops, receiveDrops]),
    )
  }
}
