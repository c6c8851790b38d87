// What a guest can write over its rings, one mutation at a time: control words, bytes of them, descriptors, packets of its
// own making. The single-threaded run and the scribbling thread draw from the same.

import {
  PACKET_TYPE_DATA_INBAND,
  RING_WORD_FEATURE_BITS,
  RING_WORD_IN,
  RING_WORD_INTERRUPT_MASK,
  RING_WORD_OUT,
  RING_WORD_PENDING_SEND_SIZE,
} from '@guestyard/hvdef'

import type { Random } from './random.ts'
import { CONTROL_WORDS, boundaryValues, type ChannelRings, type RingWords } from './ring-pages.ts'

/** Words of the control page that mean something. */
const LIVE_WORDS = [
  RING_WORD_IN,
  RING_WORD_OUT,
  RING_WORD_INTERRUPT_MASK,
  RING_WORD_PENDING_SEND_SIZE,
  RING_WORD_FEATURE_BITS,
] as const
const LENGTHS = [0, 1, 2, 3, 4, 8, 64, 0x7ff, 0xffff] as const
const WRONG_TYPES = [0, 1, 7, 8, 9, 11, 12, 0xffff] as const
const WRONG_FLAGS = [1, 2, 0x8000, 0xffff] as const
/** Kinds of the load device's packets, and some beyond. */
const LOAD_KINDS = 12

/** Writes something somewhere over the two rings. */
export function mutateRings({ up, down }: ChannelRings, random: Random): void {
  const ring = random.chance(65) ? up : down
  const kind = random.below(100)
  if (kind < 35) scribbleWord(ring, random)
  else if (kind < 50) ring.setControlByte(controlByte(random), random.below(256))
  else if (kind < 85) scribbleDescriptor(ring, random)
  else forgePacket(ring, random)
}

function scribbleWord(ring: RingWords, random: Random): void {
  const word = random.chance(85) ? random.pick(LIVE_WORDS) : random.below(CONTROL_WORDS)
  ring.setControl(word, valueNear(ring, ring.control(word), random))
}

function controlByte(random: Random): number {
  return random.chance(70)
    ? random.pick(LIVE_WORDS) * 4 + random.below(4)
    : random.below(CONTROL_WORDS * 4)
}

/** Descriptors, headers and payloads where the receiver reads next, or anywhere. */
function scribbleDescriptor(ring: RingWords, random: Random): void {
  const at = random.chance(75) ? ring.readAt + random.below(48) : random.below(ring.dataBytes)
  if (random.chance(40)) ring.setDataByte(at, random.below(256))
  else ring.setData(at & ~3, valueNear(ring, ring.data(at & ~3), random))
}

/** A packet behind what is there, announced, truthfully or not. */
function forgePacket(ring: RingWords, random: Random): void {
  const { writeAt } = ring
  const length8 = random.pick(LENGTHS)
  const offset8 = random.chance(60) ? 2 : random.pick(LENGTHS)
  const type = random.chance(60) ? PACKET_TYPE_DATA_INBAND : random.pick(WRONG_TYPES)
  const flags = random.chance(70) ? 0 : random.pick(WRONG_FLAGS)
  ring.setData(writeAt, type | (offset8 << 16))
  ring.setData(writeAt + 4, length8 | (flags << 16))
  for (let at = 16; at < 48; at += 4) {
    if (random.chance(50)) ring.setData(writeAt + at, valueNear(ring, 0, random))
  }
  // The device's own header, half of the time: its parser is next in line.
  if (random.chance(50)) ring.setData(writeAt + 20, random.below(LOAD_KINDS))
  const announced = random.chance(80) ? length8 * 8 + 8 : random.below(64) * 8
  ring.setControl(RING_WORD_IN, (writeAt + announced) % ring.dataBytes)
}

function valueNear(ring: RingWords, present: number, random: Random): number {
  const kind = random.below(4)
  if (kind === 0) return random.u32()
  if (kind === 1) return random.pick(boundaryValues(ring.dataBytes))
  if (kind === 2) return present ^ (1 << random.below(32))
  return present + (random.below(9) - 4) * 8
}
