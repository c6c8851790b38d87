// A guest without a kernel: it makes its own hypercalls and takes its own messages, or leaves them where they are. What a
// stock guest never does is what it is for.

import { KernelPage, enlighten } from '@guestyard/child-partition'
import {
  EmptyMessage,
  HV_MESSAGE_TYPE_VMBUS,
  HVCALL_POST_MESSAGE,
  HVCALL_SIGNAL_EVENT,
  HYPERCALL_FAST,
  HvStatus,
  InitiateContactMessage,
  MSR_EOM,
  OfferChannelMessage,
  PAGE_SIZE,
  PostMessageInput,
  VMBUS_MESSAGE_CONNECTION_ID,
  VMBUS_SINT,
  VmbusMessageType,
  VmbusVersion,
  simSlotOffset,
} from '@guestyard/hvdef'

import type { BarePartition, Yard } from './yard.ts'

const INPUT_GPA = KernelPage.HYPERCALL_INPUT * PAGE_SIZE
const SLOT = KernelPage.SIM * PAGE_SIZE + simSlotOffset(VMBUS_SINT)
const MESSAGE_PENDING = 1
const PAYLOAD_AT = 16
const TURNS_MAX = 5_000

/** A message of the host, as the guest copied it out. */
export interface HostMessage {
  readonly type: number
  readonly view: DataView
}

export interface RawOffer {
  readonly relid: number
  readonly connectionId: number
  readonly interfaceId: string
}

export class RawGuest {
  readonly partition: BarePartition
  readonly #yard: Yard

  /** Finds the hypervisor and turns its SynIC on; contact is not made yet. */
  constructor(yard: Yard, partition: BarePartition) {
    this.#yard = yard
    this.partition = partition
    const found = enlighten(partition.vp)
    if (!found.ok) throw new Error(found.reason)
  }

  /** HvCallPostMessage with any bytes, on any connection. Returns an HvStatus. */
  post(
    payload: Uint8Array,
    connectionId: number = VMBUS_MESSAGE_CONNECTION_ID,
    length: number = payload.length,
    type: number = HV_MESSAGE_TYPE_VMBUS,
  ): number {
    const { memory, vp } = this.partition
    const at = PostMessageInput.at
    memory.view.setUint32(INPUT_GPA + at.connectionId, connectionId, true)
    memory.view.setUint32(INPUT_GPA + at.messageType, type, true)
    memory.view.setUint32(INPUT_GPA + at.payloadSize, length, true)
    memory.u8.set(payload.subarray(0, 240), INPUT_GPA + at.payload)
    return vp.hypercall(HVCALL_POST_MESSAGE, 0, INPUT_GPA, 0, 0, 0)
  }

  /** HvCallSignalEvent with any connection and flag. Returns an HvStatus. */
  signal(connectionId: number, flag: number = 0): number {
    return this.partition.vp.hypercall(
      HVCALL_SIGNAL_EVENT | HYPERCALL_FAST,
      0,
      connectionId,
      flag,
      0,
      0,
    )
  }

  /** Takes the message out of the slot, if there is one, and frees the slot. */
  take(): HostMessage | undefined {
    const { memory, vp } = this.partition
    for (let vector = vp.deliver(); vector >= 0; vector = vp.deliver()) {
      vp.acknowledge(vector)
      vp.endOfInterrupt()
    }
    if (memory.view.getUint32(SLOT, true) === 0) return undefined
    const length = memory.view.getUint8(SLOT + 4)
    const bytes = memory.u8.slice(SLOT + PAYLOAD_AT, SLOT + PAYLOAD_AT + length)
    Atomics.store(memory.i32, SLOT >> 2, 0)
    if ((memory.view.getUint8(SLOT + 5) & MESSAGE_PENDING) !== 0) vp.writeMsr(MSR_EOM, 0, 0)
    const view = new DataView(bytes.buffer)
    return { type: view.getUint32(0, true), view }
  }

  /** Posts, and lets the root work and takes messages until it is accepted. Messages met meanwhile are returned. */
  mustPost(payload: Uint8Array): HostMessage[] {
    const met: HostMessage[] = []
    for (let turn = 0; turn < TURNS_MAX; turn += 1) {
      const status = this.post(payload)
      if (status === HvStatus.SUCCESS) return met
      if (status !== HvStatus.INSUFFICIENT_BUFFERS) {
        throw new Error(`a post was answered with status 0x${status.toString(16)}`)
      }
      met.push(...this.takeAll())
    }
    throw new Error('a message was never accepted, though every answer was taken')
  }

  /** Lets the root work and takes messages until neither has anything more. */
  takeAll(): HostMessage[] {
    const taken: HostMessage[] = []
    for (let turn = 0; turn < TURNS_MAX; turn += 1) {
      this.#yard.restRoot()
      const message = this.take()
      if (message !== undefined) taken.push(message)
      else if (this.#yard.pollRoot() === 0) return taken
    }
    throw new Error('the host sends messages without end')
  }

  /** Makes contact and asks for offers, in whatever state the connection is. */
  connect(version: number = VmbusVersion.IRON): RawOffer[] {
    this.takeAll()
    this.mustPost(initiateContact(version))
    this.takeAll()
    this.mustPost(EmptyMessage.pack({ messageType: VmbusMessageType.REQUESTOFFERS }))
    return this.takeAll()
      .filter(({ type }) => type === VmbusMessageType.OFFERCHANNEL)
      .map(({ view }) => {
        const offer = OfferChannelMessage.decode(view)
        return {
          relid: offer.channelId,
          connectionId: offer.connectionId,
          interfaceId: offer.interfaceId,
        }
      })
  }
}

export function initiateContact(version: number, targetVp: number = 0): Uint8Array {
  return InitiateContactMessage.pack({
    messageType: VmbusMessageType.INITIATE_CONTACT,
    version,
    targetVp,
    targetSint: VMBUS_SINT,
    targetVtl: 0,
    featureFlags: 0,
    parentToChildMonitorGpa: 0n,
    childToParentMonitorGpa: 0n,
  })
}
