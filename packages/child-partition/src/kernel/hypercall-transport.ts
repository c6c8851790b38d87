// How the bus client reaches its hypervisor: hypercalls and pages of this guest's RAM. No shortcut: the same calls a
// stock guest makes, through the same input page.

import {
  HVCALL_POST_MESSAGE,
  HVCALL_SIGNAL_EVENT,
  HV_MESSAGE_MAX_PAYLOAD,
  HV_MESSAGE_TYPE_VMBUS,
  HYPERCALL_FAST,
  HvStatus,
  PAGE_SHIFT,
  PostMessageInput,
  assert,
} from '@guestyard/hvdef'
import type { GuestMemory } from '@guestyard/guestmem'
import type { VirtualProcessor } from '@guestyard/hypervisor'
import type { ClientTransport } from '@guestyard/vmbus/client'

import { KernelPage } from './boot.ts'
import type { PageAllocator } from './page-allocator.ts'

const INPUT_GPA = KernelPage.HYPERCALL_INPUT << PAGE_SHIFT
const AT = PostMessageInput.at
const SIGNAL_EVENT_FAST = HVCALL_SIGNAL_EVENT | HYPERCALL_FAST

/** The VP's thread only. */
export class HypercallTransport implements ClientTransport {
  readonly memory: GuestMemory
  readonly #vp: VirtualProcessor
  readonly #pages: PageAllocator
  readonly #onRefused: () => void

  /** `onRefused`: the hypervisor did not take a message; the client keeps it and must be polled. */
  constructor(
    vp: VirtualProcessor,
    memory: GuestMemory,
    pages: PageAllocator,
    onRefused: () => void,
  ) {
    this.memory = memory
    this.#vp = vp
    this.#pages = pages
    this.#onRefused = onRefused
  }

  /** HvCallPostMessage, slow form. `length` 0..240. Returns an HvStatus. */
  postMessage(connectionId: number, payload: Uint8Array, length: number): number {
    assert(length <= HV_MESSAGE_MAX_PAYLOAD, 'A VMBus message fits a SynIC message.')
    const { view, u8 } = this.memory
    view.setUint32(INPUT_GPA + AT.connectionId, connectionId, true)
    view.setUint32(INPUT_GPA + AT.messageType, HV_MESSAGE_TYPE_VMBUS, true)
    view.setUint32(INPUT_GPA + AT.payloadSize, length, true)
    for (let i = 0; i < length; i += 1) u8[INPUT_GPA + AT.payload + i] = payload[i]!
    const status = this.#vp.hypercall(HVCALL_POST_MESSAGE, 0, INPUT_GPA, 0, 0, 0)
    if (status !== HvStatus.SUCCESS) this.#onRefused()
    return status
  }

  /** HvCallSignalEvent, fast form: the connection in RDX 31:0, the flag in RDX 47:32. HOT. */
  signalEvent(connectionId: number, flag: number): number {
    return this.#vp.hypercall(SIGNAL_EVENT_FAST, 0, connectionId, flag, 0, 0)
  }

  allocatePages(count: number): Uint32Array | undefined {
    return this.#pages.allocate(count)
  }

  freePages(pfns: ArrayLike<number>): void {
    this.#pages.free(pfns)
  }
}
