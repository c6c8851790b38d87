// What a worker process serves on its VM's control port, whichever boot of the machine is running: a machine that is reset boots again in
// another partition, and calls wait for that.

import type { BootReport, GuestInspection, VmwpControl } from './protocol.ts'
import { ignoreUnasked } from './guest-values.ts'

/** One VM's. Its worker process's thread only. */
export class VmControl implements VmwpControl {
  /** Its program, through all boots. */
  readonly program: PromiseWithResolvers<void> = Promise.withResolvers()
  #present: PromiseWithResolvers<VmwpControl> = Promise.withResolvers()
  readonly #first: Promise<VmwpControl> = this.#present.promise

  constructor() {
    // Whoever asks gets the rejection; nobody asking is no error of this process.
    this.program.promise.catch(ignoreUnasked)
  }

  /** A boot has begun, which answers from now on. */
  begin(control: VmwpControl): void {
    this.#present.resolve(control)
  }

  /** The machine was reset: calls wait. */
  pause(): void {
    this.#present = Promise.withResolvers()
  }

  async booted(): Promise<BootReport> {
    return (await this.#first).booted()
  }

  programEnded(): Promise<void> {
    return this.program.promise
  }

  async runLoad(...args: Parameters<VmwpControl['runLoad']>): ReturnType<VmwpControl['runLoad']> {
    return (await this.#present.promise).runLoad(...args)
  }

  async call(name: string, data: unknown): Promise<unknown> {
    const asked = this.#present
    const control = await asked.promise
    try {
      return await control.call(name, data)
    } catch (error) {
      // A console goes on with what the next boot says; anything else that was under way is lost.
      if (name === 'console-read' && asked !== this.#present) return this.call(name, data)
      throw error
    }
  }

  async takeReports(): Promise<unknown[]> {
    return (await this.#present.promise).takeReports()
  }

  async inspectGuest(): Promise<GuestInspection> {
    return (await this.#present.promise).inspectGuest()
  }

  async pressKey(makeCode: number, flags: number): Promise<boolean> {
    return (await this.#present.promise).pressKey(makeCode, flags)
  }

  async moveMouse(...args: Parameters<VmwpControl['moveMouse']>): Promise<boolean> {
    return (await this.#present.promise).moveMouse(...args)
  }

  async heartbeat(): ReturnType<VmwpControl['heartbeat']> {
    return (await this.#present.promise).heartbeat()
  }

  async addMemory(bytes: number): Promise<number> {
    return (await this.#present.promise).addMemory(bytes)
  }

  async attachDisk(...args: Parameters<VmwpControl['attachDisk']>): Promise<void> {
    return (await this.#present.promise).attachDisk(...args)
  }

  async setNicLink(nic: number, isUp: boolean): Promise<boolean> {
    return (await this.#present.promise).setNicLink(nic, isUp)
  }

  async setNicLinkSpeed(nic: number, mbps: number): Promise<void> {
    return (await this.#present.promise).setNicLinkSpeed(nic, mbps)
  }

  async detachDisk(...args: Parameters<VmwpControl['detachDisk']>): Promise<void> {
    return (await this.#present.promise).detachDisk(...args)
  }

  async insertDvd(...args: Parameters<VmwpControl['insertDvd']>): Promise<void> {
    return (await this.#present.promise).insertDvd(...args)
  }

  async ejectDvd(...args: Parameters<VmwpControl['ejectDvd']>): Promise<void> {
    return (await this.#present.promise).ejectDvd(...args)
  }

  async resizeDisk(...args: Parameters<VmwpControl['resizeDisk']>): Promise<void> {
    return (await this.#present.promise).resizeDisk(...args)
  }

  async save(file: string): Promise<void> {
    return (await this.#present.promise).save(file)
  }

  async stop(graceMs: number): Promise<void> {
    return (await this.#present.promise).stop(graceMs)
  }
}
