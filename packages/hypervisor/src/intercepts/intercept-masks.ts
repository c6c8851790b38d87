// HOT
// Which accesses of a partition's VPs its parent wants to see (HvCallInstallIntercept): written by the root into the partition
// page, looked at by a VP before each such access. Everything else a VP does here on its own.

import { HvInterceptAccess, HvInterceptType, HvStatus } from '@guestyard/hvdef'

import {
  INTERCEPTED_ACCESSES,
  INTERCEPTED_LEAVES,
  INTERCEPTED_LEAF_COUNT,
  INTERCEPTED_LEAVES_MAX,
  INTERCEPTED_PORTS,
} from '../partition-page.ts'

const PORT_MAX = 0xffff
const READ_WRITE: number = HvInterceptAccess.READ | HvInterceptAccess.WRITE
/** INTERCEPTED_ACCESSES: MSRs without a row of the hypervisor's, as HvInterceptAccess. */
const MSR_MASK = READ_WRITE

/** The root's end: one for a partition. */
export class InterceptMasks {
  readonly #page: Int32Array
  readonly #leaves: number[] = []

  constructor(page: Int32Array) {
    this.#page = page
  }

  /**
   * Intercepts from now on exactly the accesses in `accessMask` of what `type` and `parameter` name; 0 takes an intercept away.
   * SUCCESS; INVALID_PARAMETER for a type that no VP here meets, a port above 65535, or access bits that the type does not
   * have; NO_RESOURCES for more CPUID leaves than the page holds.
   */
  install(type: number, accessMask: number, parameter: number): HvStatus {
    switch (type) {
      case HvInterceptType.IO_PORT:
        return this.#installPort(accessMask, parameter)
      case HvInterceptType.MSR:
        if ((accessMask & ~READ_WRITE) !== 0) return HvStatus.INVALID_PARAMETER
        Atomics.store(this.#page, INTERCEPTED_ACCESSES, accessMask)
        return HvStatus.SUCCESS
      case HvInterceptType.CPUID:
        return this.#installLeaf(accessMask, parameter)
      default:
        return HvStatus.INVALID_PARAMETER
    }
  }

  #installPort(accessMask: number, port: number): HvStatus {
    if ((accessMask & ~READ_WRITE) !== 0 || !(port >= 0 && port <= PORT_MAX)) {
      return HvStatus.INVALID_PARAMETER
    }
    const at = INTERCEPTED_PORTS + (port >>> 4)
    const shift = (port & 15) * 2
    const others = Atomics.load(this.#page, at) & ~(READ_WRITE << shift)
    Atomics.store(this.#page, at, others | (accessMask << shift))
    return HvStatus.SUCCESS
  }

  #installLeaf(accessMask: number, leaf: number): HvStatus {
    if (accessMask !== 0 && accessMask !== HvInterceptAccess.EXECUTE) {
      return HvStatus.INVALID_PARAMETER
    }
    const index = this.#leaves.indexOf(leaf >>> 0)
    if (accessMask === 0) {
      if (index >= 0) this.#leaves.splice(index, 1)
    } else if (index < 0) {
      if (this.#leaves.length === INTERCEPTED_LEAVES_MAX) return HvStatus.NO_RESOURCES
      this.#leaves.push(leaf >>> 0)
    }
    // A VP that looks between these stores may meet a leaf twice or once less: the parent's call has not returned yet.
    this.#leaves.forEach((number, row) =>
      Atomics.store(this.#page, INTERCEPTED_LEAVES + row, number | 0),
    )
    Atomics.store(this.#page, INTERCEPTED_LEAF_COUNT, this.#leaves.length)
    return HvStatus.SUCCESS
  }
}

/** True when this access, one of HvInterceptAccess, to a port (0 to 65535) is intercepted. */
export function interceptsPort(page: Int32Array, port: number, access: number): boolean {
  const bits = Atomics.load(page, INTERCEPTED_PORTS + ((port & PORT_MAX) >>> 4))
  return ((bits >>> ((port & 15) * 2)) & access) !== 0
}

/** True when this access to an MSR that the hypervisor does not have is intercepted. */
export function interceptsMsr(page: Int32Array, access: number): boolean {
  return (Atomics.load(page, INTERCEPTED_ACCESSES) & MSR_MASK & access) !== 0
}

/** True when CPUID of this leaf is intercepted. */
export function interceptsLeaf(page: Int32Array, leaf: number): boolean {
  const count = Math.min(Atomics.load(page, INTERCEPTED_LEAF_COUNT) >>> 0, INTERCEPTED_LEAVES_MAX)
  for (let row = 0; row < count; row++) {
    if (Atomics.load(page, INTERCEPTED_LEAVES + row) === (leaf | 0)) return true
  }
  return false
}
