// The state in which a VP begins that an APIC started: real mode, at the page that the start-up vector names.

import { InitialVpContext } from '@guestyard/hvdef'

const DATA = { base: 0n, limit: 0xffff, selector: 0, attributes: 0x93 }
const TABLE = { padding: new Uint8Array(6), limit: 0xffff, base: 0n }
/** CR0 after INIT: caches off, no protection. */
const CR0 = 0x6000_0010n
/** The page attribute table after reset. */
const PAT = 0x0007_0406_0007_0406n

/** HV_INITIAL_VP_CONTEXT for a start-up interrupt with this vector, as 56 words. */
export function sipiContext(vector: number): Int32Array {
  const bytes = InitialVpContext.pack({
    rip: 0n,
    rsp: 0n,
    rflags: 2n,
    cs: {
      base: BigInt(vector << 12),
      limit: 0xffff,
      selector: vector << 8,
      attributes: 0x9b,
    },
    ds: DATA,
    es: DATA,
    fs: DATA,
    gs: DATA,
    ss: DATA,
    tr: { ...DATA, attributes: 0x8b },
    ldtr: { ...DATA, attributes: 0x82 },
    idtr: TABLE,
    gdtr: TABLE,
    efer: 0n,
    cr0: CR0,
    cr3: 0n,
    cr4: 0n,
    pat: PAT,
  })
  return new Int32Array(bytes.buffer)
}
