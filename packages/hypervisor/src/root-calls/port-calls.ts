// Ports and connections by hypercall (TLFS, "Ports and Connections").

import {
  ConnectPortInput,
  CreatePortInput,
  HvPortType,
  HvPrivilege,
  HvStatus,
  HV_VP_INDEX_ANY,
  PortInfo,
  SINT_COUNT,
} from '@guestyard/hvdef'
import type { PartitionId, PortId } from '@guestyard/hvdef'

import { simpleCall } from '../hypercalls.ts'
import type { HypercallRow } from '../hypercalls.ts'
import { ROOT_PARTITION_ID } from '../partition-table.ts'
import type { PortTable } from '../port-table.ts'
import type { Port } from '../port.ts'
import { partitionAt } from './call-arguments.ts'

interface Capabilities {
  readonly ports: PortTable
}

const P = HvPrivilege
/** Words of the port info in the input of CreatePort. */
const INFO: number = CreatePortInput.at.portInfo / 4
const SINT: number = INFO + PortInfo.at.targetSint / 4
const VP: number = INFO + PortInfo.at.targetVp / 4
const FLAGS: number = INFO + PortInfo.at.baseFlagNumber / 4
const CONNECTION_TYPE: number = ConnectPortInput.at.connectionType / 4
/** The byte after a port or connection id is a VTL: there is none above 0. */
const VTLS_OF_PORT = 0xffff
const VTL = 0xff

/** Rows of this family. */
export const PORT_CALLS: readonly HypercallRow<Capabilities>[] = [
  {
    ...simpleCall('HvCallCreatePort'),
    privilege: P.CREATE_PORT,
    invoke({ ports }, { input }) {
      if ((input[3]! & VTLS_OF_PORT) !== 0) return HvStatus.INVALID_PARAMETER
      const owner = partitionAt(input, 0)
      const port = input[2]! >>> 0
      const connecting = partitionAt(input, 4)
      return owner === ROOT_PARTITION_ID
        ? createRootPort(ports, port, connecting, input)
        : createChildPort(ports, owner, port, connecting, input)
    },
  },
  {
    ...simpleCall('HvCallConnectPort'),
    privilege: P.CONNECT_PORT,
    invoke({ ports }, { input }) {
      if ((input[3]! & VTL) !== 0) return HvStatus.INVALID_PARAMETER
      const kind = kindOf(input[CONNECTION_TYPE]!)
      if (kind === null) return HvStatus.INVALID_PARAMETER
      return ports.connect(
        partitionAt(input, 0),
        input[2]! >>> 0,
        partitionAt(input, 4),
        input[6]! >>> 0,
        kind,
      )
    },
  },
  {
    ...simpleCall('HvCallDeletePort'),
    privilege: P.CREATE_PORT,
    invoke: ({ ports }, { input }) => ports.deletePort(partitionAt(input, 0), input[2]! >>> 0),
  },
  {
    ...simpleCall('HvCallDisconnectPort'),
    privilege: P.CONNECT_PORT,
    invoke: ({ ports }, { input }) => ports.disconnect(partitionAt(input, 0), input[2]! >>> 0),
  },
]

/** A port of the root's: whatever its SINT is, what arrives goes to the handler that is bound to it. */
function createRootPort(
  ports: PortTable,
  port: number,
  connecting: number,
  input: Int32Array,
): HvStatus {
  const vp = input[VP]! >>> 0
  if (input[SINT]! >>> 0 >= SINT_COUNT || (vp !== 0 && vp !== HV_VP_INDEX_ANY)) {
    return HvStatus.INVALID_PARAMETER
  }
  const partition = connecting as PartitionId
  switch (kindOf(input[INFO]!)) {
    case 'message':
      return ports.createRootMessagePort(port as PortId, partition)
    case 'event':
      return ports.createRootEventPort(port as PortId, partition, input[FLAGS]! >>> 16)
    case null:
      return HvStatus.INVALID_PARAMETER
  }
}

/** A port of a child's: what arrives goes to a SINT of its VP. */
function createChildPort(
  ports: PortTable,
  owner: number,
  port: number,
  connecting: number,
  input: Int32Array,
): HvStatus {
  const identity = {
    owner: owner as PartitionId,
    portId: port as PortId,
    connectionPartition: connecting as PartitionId,
  }
  const target = { vp: input[VP]! >>> 0, sint: input[SINT]! >>> 0 }
  switch (kindOf(input[INFO]!)) {
    case 'message':
      return ports.createMessagePort({ ...identity, target })
    case 'event': {
      const baseFlag = input[FLAGS]! & 0xffff
      const flagCount = input[FLAGS]! >>> 16
      return ports.createEventPort({ ...identity, flagCount, target: { ...target, baseFlag } })
    }
    case null:
      return HvStatus.INVALID_PARAMETER
  }
}

/** Monitor and doorbell ports are not offered. */
function kindOf(type: number): Port['kind'] | null {
  if (type === HvPortType.MESSAGE) return 'message'
  return type === HvPortType.EVENT ? 'event' : null
}
