// Arguments that many of the root's calls take, read from the private copy of the input block.

import { ROOT_PARTITION_ID } from '../partition-table.ts'

/** A u64 at a word of the input. Inexact from 2^53 on, where nothing has a number. */
export function u64At(input: Int32Array, word: number): number {
  return (input[word + 1]! >>> 0) * 2 ** 32 + (input[word]! >>> 0)
}

/** A partition id at a word of the input; "self" is the root. 0 is no partition. */
export function partitionAt(input: Int32Array, word: number): number {
  if (input[word] === -1 && input[word + 1] === -1) return ROOT_PARTITION_ID
  return u64At(input, word)
}

/** Writes a number below 2^53 as a u64. */
export function putU64(output: Int32Array, word: number, value: number): void {
  output[word] = (value % 2 ** 32) | 0
  output[word + 1] = Math.floor(value / 2 ** 32) | 0
}
