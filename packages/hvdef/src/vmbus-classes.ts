// Device classes on VMBus: who is offered, under which instance id real hosts know it, and whether its
// packets are raw or framed as a pipe (ring.ts, PipeHeader). A guest binds by class alone.

import type { Guid } from './guid.ts'

/** One device class. */
export interface VmbusClass {
  readonly interfaceId: Guid
  /** The instance id of real hosts; null where each device has its own. */
  readonly instanceId: Guid | null
  readonly framing: 'raw' | 'pipe'
}

export const VmbusClasses = {
  scsi: row('ba6163d9-04a1-4d29-b605-72e2ffb1dc7f', null, 'raw'),
  ide: row('32412632-86cb-44a2-9b5c-50d1417354f5', null, 'raw'),
  fibreChannel: row('2f9bcc4a-0069-4af3-b76b-6fd0be528cda', null, 'raw'),
  network: row('f8615163-df3e-46c5-913f-f2d2f965ed0e', null, 'raw'),
  keyboard: row(
    'f912ad6d-2b17-48ea-bd65-f927a61c7684',
    'd34b2567-b9b6-42b9-8778-0a4ec0b955bf',
    'raw',
  ),
  mouse: row(
    'cfa8b69e-5b4a-4cc0-b98b-8ba1a1f3f95a',
    '58f75a6d-d949-4320-99e1-a2a2576d581c',
    'pipe',
  ),
  video: row(
    'da0a7802-e377-4aac-8e77-0558eb1073f8',
    '5620e0c7-8062-4dce-aeb7-520c7ef76171',
    'pipe',
  ),
  heartbeat: row(
    '57164f39-9115-4e78-ab55-382f3bd5422d',
    'fd149e91-82e0-4a7d-afa6-2a4166cbd7c0',
    'pipe',
  ),
  kvp: row('a9a0f4e7-5a45-4d96-b827-8a841e8c03e6', '242ff919-07db-4180-9c2e-b86cb68c8c55', 'pipe'),
  shutdown: row(
    '0e0b6031-5213-4934-818b-38d90ced39db',
    'b6650ff7-33bc-4840-8048-e0676786f393',
    'pipe',
  ),
  timeSync: row(
    '9527e630-d0ae-497b-adce-e80ab0175caf',
    '2dd1ce17-079e-403c-b352-a1921ee207ee',
    'pipe',
  ),
  vss: row('35fa2e29-ea23-4236-96ae-3a6ebacba440', '2450ee40-33bf-4fbd-892e-9fb06e9214cf', 'pipe'),
  guestFileCopy: row(
    '34d14be3-dee4-41c8-9ae7-6b174977c192',
    'eb765408-105f-49b6-b4aa-c123b64d17d4',
    'pipe',
  ),
  dynamicMemory: row(
    '525074dc-8985-46e2-8057-a307dc18a502',
    '1eccfd72-4b41-45ef-b73a-4a6e44c12924',
    'raw',
  ),
  pciPassThrough: row('44c4f61d-4444-4400-9d52-802e27ede19f', null, 'raw'),
  networkDirect: row('8c2eaf3d-32a7-4b09-ab99-bd1f1c86b501', null, 'raw'),
  remoteDesktop: row('276aacf4-ac15-426c-98dd-7521ad3f01fe', null, 'raw'),
  activation1: row('f8e65716-3cb3-4a06-9a60-1889c5cccab5', null, 'raw'),
  activation2: row('3375baf4-9e15-4b30-b765-67acb10d607b', null, 'raw'),
  vmbfs: row(
    'c376c1c3-d276-48d2-90a9-c04748072c60',
    'c4e5e7d1-d748-4afc-979d-683167910a55',
    'pipe',
  ),
  serial: row(
    '8b60ccf6-709f-4c11-90b5-229c959a9e6a',
    '700df40e-b947-4776-b839-d1b0a35af034', // COM1
    'pipe',
  ),
} as const satisfies Readonly<Record<string, VmbusClass>>

export type VmbusClassName = keyof typeof VmbusClasses

const BY_INTERFACE: ReadonlyMap<Guid, string> = new Map(
  Object.entries(VmbusClasses).map(([name, row]) => [row.interfaceId, name]),
)

/** The key in `VmbusClasses` of a canonical class GUID, or undefined for a class we do not know. */
export function vmbusClassName(interfaceId: Guid): string | undefined {
  return BY_INTERFACE.get(interfaceId)
}

/** Class GUID of an hv_sock service that listens on a vsock port (u32). */
export function hvSockServiceId(port: number): Guid {
  return `${port.toString(16).padStart(8, '0')}-facb-11e6-bd58-64006a7986d3`
}

function row<const I extends Guid, const N extends Guid | null, const F extends 'raw' | 'pipe'>(
  interfaceId: I,
  instanceId: N,
  framing: F,
): { readonly interfaceId: I; readonly instanceId: N; readonly framing: F } {
  return { interfaceId, instanceId, framing }
}
