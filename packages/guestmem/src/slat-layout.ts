// The shared form of a partition's SLAT: what the root publishes for the threads of its VPs.
//
//   word    0  generation                        word  512  directory, a word for each 2 MiB
//           1  identity run: first page, pages    512 + n  leaves of 512 words, in the order they
//           8  overlay pages of the VPs                    were needed
//
// The root keeps a table of its own and never reads back what it wrote here: a guest that scribbles
// on this buffer misleads nobody but itself. The overlay words are the guest's own word on its own
// pages, and are read as such.

/** Pages that a directory word covers, and the pages of a large page. */
export const SLAT_CHUNK_PAGES = 512
export const SLAT_CHUNK_SHIFT = 9

/** Rights of a page: bits 3:0 of HvCallMapGpaPages' flags (TLFS, HV_MAP_GPA_FLAGS). */
export const SlatRight = {
  READ: 1,
  WRITE: 2,
  KERNEL_EXECUTE: 4,
  USER_EXECUTE: 8,
} as const
/** Every right. */
export const SLAT_RIGHTS_ALL = 15

/** What is at a GPA page. */
export const SlatKind = {
  NOTHING: 0,
  /** RAM: the entry's number is a page of RAM. */
  RAM: 1,
  /** Device registers: every access is an intercept; the entry's number is the region's. */
  MMIO: 2,
} as const

/** A directory word that leads to a leaf. Never in a leaf, nor in what a lookup answers. */
export const KIND_LEAF = 3

const NUMBER_MASK = 0xf_ffff
const RIGHTS_SHIFT = 20
const KIND_SHIFT = 24
/** Largest page, region or leaf number of an entry. */
export const SLAT_NUMBER_MAX: number = NUMBER_MASK

/** Added to before and after every change: odd while one is under way. */
export const SLAT_GENERATION = 0
export const SLAT_IDENTITY_FIRST = 1
export const SLAT_IDENTITY_PAGES = 2
/** Directory words: fixed when the buffer is made. */
export const SLAT_CHUNKS = 3
/** Added to after an overlay word has changed. */
export const SLAT_OVERLAY_GENERATION = 4
/** An overlay page's number plus one, or 0. Two words of the partition, then four for each of 64 VPs. */
export const SLAT_OVERLAYS = 8
const SLAT_PARTITION_OVERLAYS = 2
const SLAT_VP_OVERLAYS = 4
export const SLAT_OVERLAYS_MAX: number = SLAT_PARTITION_OVERLAYS + 64 * SLAT_VP_OVERLAYS
export const SLAT_DIRECTORY = 512

/** A row of the ownership table: who writes these words, who reads them. */
export interface SlatWordOwner {
  readonly name: string
  readonly word: number
  readonly count: number
  readonly writtenBy: 'root' | 'VPs'
  readonly rule: string
}

/** The SLAT buffer before its directory, word by word. Directory and leaves are the root's. */
export const SLAT_HEADER: readonly SlatWordOwner[] = [
  owned('GENERATION', SLAT_GENERATION, 1, 'root', 'odd while a change is under way'),
  owned('IDENTITY', SLAT_IDENTITY_FIRST, 2, 'root', 'good between two equal, even generations'),
  owned('CHUNKS', SLAT_CHUNKS, 1, 'root', 'fixed'),
  owned('OVERLAY_GENERATION', SLAT_OVERLAY_GENERATION, 1, 'VPs', 'added to after the change'),
  owned('OVERLAYS', SLAT_OVERLAYS, SLAT_OVERLAYS_MAX, 'VPs', 'a word has one VP; two are shared'),
]

function owned(
  name: string,
  word: number,
  count: number,
  writtenBy: 'root' | 'VPs',
  rule: string,
): SlatWordOwner {
  return { name, word, count, writtenBy, rule }
}

/** An entry: kind in bits 25:24, rights in 23:20, number in 19:0. */
export function slatEntry(kind: number, rights: number, number: number): number {
  return (kind << KIND_SHIFT) | (rights << RIGHTS_SHIFT) | number
}

/** `SlatKind` of an entry. */
export function slatKind(entry: number): number {
  return entry >>> KIND_SHIFT
}

export function slatRights(entry: number): number {
  return (entry >>> RIGHTS_SHIFT) & SLAT_RIGHTS_ALL
}

/** Page of RAM, or number of the MMIO region. */
export function slatNumber(entry: number): number {
  return entry & NUMBER_MASK
}

/** True when the entry is RAM that may be reached with all of `rights`. */
export function slatAllows(entry: number, rights: number): boolean {
  return slatKind(entry) === SlatKind.RAM && ((entry >>> RIGHTS_SHIFT) & rights) === rights
}

/** First word of leaf `leaf` in a buffer with `chunks` directory words. */
export function slatLeafAt(chunks: number, leaf: number): number {
  return SLAT_DIRECTORY + chunks + leaf * SLAT_CHUNK_PAGES
}

/** The word of an overlay of the partition (`vp` -1; 0 hypercall, 1 reference TSC) or of a VP (0 to 3). */
export function slatOverlayWord(vp: number, index: number): number {
  return vp < 0
    ? SLAT_OVERLAYS + index
    : SLAT_OVERLAYS + SLAT_PARTITION_OVERLAYS + vp * SLAT_VP_OVERLAYS + index
}
