// Branded ids. A number becomes an id in one of two ways: its checking constructor, which throws because
// only our own code calls it with a number it vouches for, or its guard, for a number that a peer sent.

declare const brand: unique symbol

type Id<Name extends string> = number & { readonly [brand]: Name }

/** Guest physical address in bytes, below 2^52. */
export type Gpa = Id<'Gpa'>
/** Guest page frame number: a Gpa divided by 4096, below 2^40. */
export type Gpfn = Id<'Gpfn'>
/** Partition, 1 to 2^53 - 1. On the wire a u64, where 0 is "none" and all ones is "self". */
export type PartitionId = Id<'PartitionId'>
/** Virtual processor within its partition, 0 to 0xfffffffd. */
export type VpIndex = Id<'VpIndex'>
/** VMBus channel ("relid"), 1 to 2047: also the number of its event flag. */
export type ChannelId = Id<'ChannelId'>
/** GPADL handle, any u32: the guest chooses it. */
export type GpadlId = Id<'GpadlId'>
/** Message or event connection, 24 bits. */
export type ConnectionId = Id<'ConnectionId'>
/** Message or event port, 24 bits. */
export type PortId = Id<'PortId'>
/** Synthetic interrupt source, 0 to 15. */
export type SintIndex = Id<'SintIndex'>

const GPA_MAX = 2 ** 52 - 1
const GPFN_MAX = 2 ** 40 - 1
const VP_INDEX_MAX = 0xffff_fffd
const CHANNEL_ID_MAX = 2047
const U32_MAX = 0xffff_ffff
const ID24_MAX = 0xff_ffff
const SINT_INDEX_MAX = 15

/** "This partition", in a hypercall's partition field (TLFS, HV_PARTITION_ID). */
export const HV_PARTITION_ID_SELF = 0xffff_ffff_ffff_ffffn
/** "No partition". */
export const HV_PARTITION_ID_INVALID = 0n
/** "The calling VP", in a hypercall's VP field. */
export const HV_VP_INDEX_SELF = 0xffff_fffe
/** "Whichever VP". In an open request: no interrupts. */
export const HV_VP_INDEX_ANY = 0xffff_ffff

/** True when a number from a peer is a Gpa. Never throws. */
export function isGpa(n: number): n is Gpa {
  return isWithin(n, 0, GPA_MAX)
}

/** True when a number from a peer is a Gpfn. Never throws. */
export function isGpfn(n: number): n is Gpfn {
  return isWithin(n, 0, GPFN_MAX)
}

/** True when a number from a peer is a PartitionId. Never throws. */
export function isPartitionId(n: number): n is PartitionId {
  return isWithin(n, 1, Number.MAX_SAFE_INTEGER)
}

/** True when a number from a peer is a VpIndex. Never throws. */
export function isVpIndex(n: number): n is VpIndex {
  return isWithin(n, 0, VP_INDEX_MAX)
}

/** True when a number from a peer is a ChannelId. Never throws. */
export function isChannelId(n: number): n is ChannelId {
  return isWithin(n, 1, CHANNEL_ID_MAX)
}

/** True when a number from a peer is a GpadlId. Never throws. */
export function isGpadlId(n: number): n is GpadlId {
  return isWithin(n, 0, U32_MAX)
}

/** True when a number from a peer is a ConnectionId. Never throws. */
export function isConnectionId(n: number): n is ConnectionId {
  return isWithin(n, 0, ID24_MAX)
}

/** True when a number from a peer is a PortId. Never throws. */
export function isPortId(n: number): n is PortId {
  return isWithin(n, 0, ID24_MAX)
}

/** True when a number from a peer is a SintIndex. Never throws. */
export function isSintIndex(n: number): n is SintIndex {
  return isWithin(n, 0, SINT_INDEX_MAX)
}

/** Throws a RangeError unless `n` is an integer from 0 to 2^52 - 1. */
export function gpa(n: number): Gpa {
  return isGpa(n) ? n : refuse('Gpa', n, 0, GPA_MAX)
}

/** Throws a RangeError unless `n` is an integer from 0 to 2^40 - 1. */
export function gpfn(n: number): Gpfn {
  return isGpfn(n) ? n : refuse('Gpfn', n, 0, GPFN_MAX)
}

/** Throws a RangeError unless `n` is an integer from 1 to 2^53 - 1. */
export function partitionId(n: number): PartitionId {
  return isPartitionId(n) ? n : refuse('PartitionId', n, 1, Number.MAX_SAFE_INTEGER)
}

/** Throws a RangeError unless `n` is an integer from 0 to 0xfffffffd. */
export function vpIndex(n: number): VpIndex {
  return isVpIndex(n) ? n : refuse('VpIndex', n, 0, VP_INDEX_MAX)
}

/** Throws a RangeError unless `n` is an integer from 1 to 2047. */
export function channelId(n: number): ChannelId {
  return isChannelId(n) ? n : refuse('ChannelId', n, 1, CHANNEL_ID_MAX)
}

/** Throws a RangeError unless `n` is a u32. */
export function gpadlId(n: number): GpadlId {
  return isGpadlId(n) ? n : refuse('GpadlId', n, 0, U32_MAX)
}

/** Throws a RangeError unless `n` fits 24 bits. */
export function connectionId(n: number): ConnectionId {
  return isConnectionId(n) ? n : refuse('ConnectionId', n, 0, ID24_MAX)
}

/** Throws a RangeError unless `n` fits 24 bits. */
export function portId(n: number): PortId {
  return isPortId(n) ? n : refuse('PortId', n, 0, ID24_MAX)
}

/** Throws a RangeError unless `n` is an integer from 0 to 15. */
export function sintIndex(n: number): SintIndex {
  return isSintIndex(n) ? n : refuse('SintIndex', n, 0, SINT_INDEX_MAX)
}

function isWithin(n: number, min: number, max: number): boolean {
  return Number.isInteger(n) && n >= min && n <= max
}

function refuse(name: string, n: number, min: number, max: number): never {
  throw new RangeError(`${n} is not a ${name}: an integer from ${min} to ${max}`)
}
