/** A WebAssembly function that takes what a hypercall takes and gives back the last of it: what any trap to native code costs here. */

import { setFlagsFromString } from 'node:v8'

import { compileBase64, wasm } from '@guestyard/guestmem'

export type EmptyCall = (
  inLow: number,
  inHigh: number,
  p0Low: number,
  p0High: number,
  p1Low: number,
  p1High: number,
) => number

/** `(module (func (export "call") (param i32 i32 i32 i32 i32 i32) (result i32) (local.get 5)))`, assembled. */
const MODULE = 'AGFzbQEAAAABCwFgBn9/f39/fwF/AwIBAAcIAQRjYWxsAAAKBgEEACAFCw=='

/** V8 would inline the body, and then there is no call any more: from here on it does not, in this thread. */
export function emptyCall(): EmptyCall {
  setFlagsFromString('--no-turbo-inline-js-wasm-calls')
  const { exports } = new wasm.Instance(compileBase64(MODULE), {})
  return exports['call'] as EmptyCall
}
