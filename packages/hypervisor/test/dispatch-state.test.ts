import { HypercallCode, hypercallInputLow } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { RootDispatch, VpDispatch, VpReport } from '../src/dispatch-state.ts'
import { OUTBOX_SUMMARY, RUN_STATE, VP_PAGE_BYTES } from '../src/vp-page.ts'
import { Guest } from './guest.ts'

function pair() {
  const page = new Int32Array(new SharedArrayBuffer(VP_PAGE_BYTES))
  const rings = { root: 0, vp: 0 }
  const root = new RootDispatch(page, { ring: () => void (rings.vp += 1) })
  const vp = new VpDispatch(page, { ring: () => void (rings.root += 1) })
  return { page, rings, root, vp }
}

const SPIN_WAIT = hypercallInputLow(HypercallCode.NOTIFY_LONG_SPIN_WAIT, true)

describe('a grant', () => {
  test('names the processor, and is taken at the next exit', () => {
    const { root, vp } = pair()
    expect(vp.exit()).toBe(-1)
    root.grant(63, true)
    expect(root.report).toBe(VpReport.NONE)
    expect(vp.exit()).toBe(63)
    expect(root.report).toBe(VpReport.RUNNING)
  })

  test('that is revoked is answered at the next exit, and the answer is rung once', () => {
    const { root, vp, rings } = pair()
    root.grant(0, true)
    vp.exit()
    root.revoke()
    expect(vp.exit()).toBe(-1)
    expect(vp.exit()).toBe(-1)
    expect(root.report).toBe(VpReport.READY)
    expect(rings.root).toBe(1)
  })

  test('that came and went between two exits is answered too', () => {
    const { root, vp } = pair()
    root.grant(0, true)
    root.revoke()
    expect(vp.exit()).toBe(-1)
    expect(root.report).toBe(VpReport.READY)
  })

  test('that is revoked after its VP halted has its answer already', () => {
    const { root, vp } = pair()
    root.grant(0, true)
    vp.exit()
    vp.giveUp(VpReport.HALTED)
    root.revoke()
    vp.exit()
    expect(root.report).toBe(VpReport.HALTED)
    expect(vp.isHalted).toBe(true)
    vp.announceReady()
    vp.announceReady()
    expect(root.report).toBe(VpReport.READY)
  })

  test('is kept through a halt when the root does not want to know, and nobody is rung', () => {
    const { root, vp, rings, page } = pair()
    root.grant(2, false)
    vp.exit()
    vp.giveUp(VpReport.HALTED)
    vp.announceReady()
    expect(vp.exit()).toBe(2)
    expect(rings.root).toBe(0)
    expect(page[OUTBOX_SUMMARY]).toBe(0)
  })

  test('is not answered by a report about the one before', () => {
    const { root, vp } = pair()
    root.grant(0, true)
    vp.exit()
    vp.giveUp(VpReport.YIELDED)
    expect(root.report).toBe(VpReport.YIELDED)
    root.grant(0, true)
    expect(root.report).toBe(VpReport.NONE)
    expect(vp.exit()).toBe(0)
  })
})

test('whatever a VP writes about its grant is a report there is, and an old number is none', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 40 }), (word, grants) => {
      const { page, root } = pair()
      for (let grant = 0; grant < grants; grant += 1) root.grant(0, true)
      Atomics.store(page, RUN_STATE, word)
      const { report } = root
      expect(report).toBeGreaterThanOrEqual(VpReport.NONE)
      expect(report).toBeLessThanOrEqual(VpReport.YIELDED)
      if (word >>> 8 !== grants) expect(report).toBe(VpReport.NONE)
    }),
  )
})

describe('a VP that is scheduled', () => {
  function scheduled() {
    const heard: number[] = []
    const guest = new Guest({
      listener: { queueSpace: () => {}, dispatchChanged: (vp) => heard.push(vp) },
    }).boot()
    const root = guest.partition.vps[0]!
    root.dispatch.grant(0, true)
    expect(guest.vp.grantedLp()).toBe(0)
    return { guest, root, heard }
  }

  test('gives its processor up when it halts, and the root hears of it in its next pass', () => {
    const { guest, root, heard } = scheduled()
    guest.vp.halt()
    expect(guest.vp.grantedLp()).toBe(-1)
    guest.hypervisor.poll(100)
    expect(heard).toEqual([0])
    expect(root.dispatch.report).toBe(VpReport.HALTED)
    guest.vp.announceReady()
    guest.hypervisor.poll(100)
    expect(heard).toEqual([0, 0])
    expect(root.dispatch.report).toBe(VpReport.READY)
  })

  test('holds no processor up while it is suspended, and has work when it no longer is', () => {
    const { guest, root } = scheduled()
    root.setExplicitSuspend(true)
    expect(guest.vp.grantedLp()).toBe(-1)
    expect(root.dispatch.report).toBe(VpReport.HALTED)
    expect(guest.vp.hasWork).toBe(false)
    root.setExplicitSuspend(false)
    expect(guest.vp.hasWork).toBe(true)
  })

  test('gives way after a long spin wait, once', () => {
    const { guest, root } = scheduled()
    guest.vp.yieldAfterSpin()
    expect(guest.vp.grantedLp()).toBe(0)
    guest.vp.hypercall(SPIN_WAIT, 0, 1000, 0, 0, 0)
    guest.vp.yieldAfterSpin()
    expect(root.dispatch.report).toBe(VpReport.YIELDED)
    root.dispatch.grant(0, true)
    expect(guest.vp.grantedLp()).toBe(0)
    guest.vp.yieldAfterSpin()
    expect(guest.vp.grantedLp()).toBe(0)
  })

  test('publishes what it counted when it halts', () => {
    const { guest, root } = scheduled()
    guest.vp.hypercall(SPIN_WAIT, 0, 1000, 0, 0, 0)
    guest.vp.halt()
    expect(guest.vp.inspect().hypercalls).toBeGreaterThan(0)
    expect(root.counters().hypercalls).toBe(guest.vp.inspect().hypercalls)
  })

  test('publishes what it counted within some milliseconds when it never halts', () => {
    const { guest, root } = scheduled()
    guest.vp.grantedLp()
    guest.vp.hypercall(SPIN_WAIT, 0, 1000, 0, 0, 0)
    const counted = guest.vp.inspect().hypercalls
    guest.vp.grantedLp()
    expect(root.counters().hypercalls).toBeLessThan(counted)
    guest.clock.now100ns += 50_000
    guest.vp.grantedLp()
    expect(root.counters().hypercalls).toBe(counted)
  })
})
